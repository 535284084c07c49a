"""Augmentation by ``torchvision.transforms.v2``, and the background that a transparent picture is put on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2

from cnnrnn.core.errors import ConfigError


@dataclass(frozen=True)
class AugmentConfig:
    """What changes from epoch to epoch; the defaults change nothing.

    Attributes:
        rotation: largest angle, degrees either way.
        translation: largest shift, as a share of the side.
        scale: smallest and largest scale.
        shear: largest shear, degrees either way.
        flip: whether pictures may be mirrored; not where captions tell left from right.
        brightness, contrast, saturation, hue: as :class:`torchvision.transforms.v2.ColorJitter`'s.
        blur: probability of a Gaussian blur, sigma 0.3 to 1.2 pixels.
        background: probability that what is transparent, or uncovered by a shift, shows a random colour
            or a gradient of two, in place of white.
    """

    rotation: float = 0.0
    translation: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    shear: float = 0.0
    flip: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    blur: float = 0.0
    background: float = 0.0

    def __post_init__(self) -> None:
        for name in ("translation", "blur", "background"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ConfigError(f"augment {name} = {value} must be from 0 to 1")
        object.__setattr__(self, "scale", tuple(self.scale))
        if not (len(self.scale) == 2 and 0 < self.scale[0] <= self.scale[1] <= 4):
            raise ConfigError(
                f"augment scale = {self.scale} must be two numbers, 0 < smallest <= largest <= 4"
            )
        if not 0 <= self.hue <= 0.5:
            raise ConfigError(f"augment hue = {self.hue} must be from 0 to 0.5")


class Background(v2.Transform):
    """Puts a premultiplied (4, H, W) picture on a background: white, a colour, or a gradient of two."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draws two colours and a direction; equal colours are a plain background."""
        if torch.rand(()) >= self.probability:
            white = torch.full((3, 1, 1), 255.0)
            return {"first": white, "second": white, "direction": torch.zeros(2)}
        first = torch.rand(3, 1, 1) * 255
        second = torch.rand(3, 1, 1) * 255 if torch.rand(()) < 0.5 else first
        return {"first": first, "second": second, "direction": torch.rand(2)}

    def transform(self, inpt: Tensor, params: dict[str, Any]) -> Tensor:
        """(4, H, W) uint8, colours premultiplied by the alpha in the last channel, to (3, H, W) uint8."""
        height, width = inpt.shape[-2:]
        row, column = params["direction"]
        ramp = row * torch.linspace(0, 1, height).view(-1, 1) + column * torch.linspace(0, 1, width)
        share = ramp / (row + column).clamp_min(1e-6)
        ground = params["first"] * (1 - share) + params["second"] * share
        pixels = inpt[:3].float() + ground * (1 - inpt[3:].float() / 255)
        return pixels.round().clamp(0, 255).to(torch.uint8)


def augmentation(config: AugmentConfig) -> v2.Transform:
    """Premultiplied RGBA (4, H, W) uint8 to RGB (3, H, W) uint8, at random by torch's global generator."""
    steps: list[v2.Transform] = []
    if config.rotation or config.translation or config.scale != (1.0, 1.0) or config.shear:
        steps.append(
            v2.RandomAffine(
                degrees=config.rotation,
                translate=(config.translation, config.translation),
                scale=config.scale,
                shear=config.shear or None,
                interpolation=v2.InterpolationMode.BILINEAR,
            )
        )
    if config.flip:
        steps.append(v2.RandomHorizontalFlip())
    steps.append(Background(config.background))
    if config.brightness or config.contrast or config.saturation or config.hue:
        steps.append(v2.ColorJitter(config.brightness, config.contrast, config.saturation, config.hue))
    if config.blur:
        steps.append(v2.RandomApply([v2.GaussianBlur(5, (0.3, 1.2))], p=config.blur))
    return v2.Compose(steps)
