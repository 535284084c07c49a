"""What every layout gives and is given, and what is the same for all of them."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from cnnrnn.core.errors import OptionsError
from cnnrnn.core.manifest import MAX_IMAGE_SIDE, ImageSpec, Resize, SearchDefaults
from cnnrnn.core.tokenizer import Tokenizer

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ImportOptions:
    """What a checkpoint of somebody else's program does not say itself.

    Attributes:
        vocabulary: the file of its words.
        options: the file of its training's options.
        cnn: a state dict of the CNN whose features it was trained on, where the checkpoint has none.
        cnn_style: ``"caffe"`` or ``"torchvision"``: where that CNN has its strides.
        keys: the TOML file that says which tensor is which.
        grid: (rows, columns) that the CNN's features are pooled to.
        size: (height, width) of the encoder's picture.
        mean, std: normalisation, in the unit interval.
        resize: how a picture is fitted.
    """

    vocabulary: Path | None = None
    options: Path | None = None
    cnn: Path | None = None
    cnn_style: str | None = None
    keys: Path | None = None
    grid: tuple[int, int] | None = None
    size: tuple[int, int] | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    resize: Resize | None = None

    def image(self, default: ImageSpec) -> ImageSpec:
        """The layout's own picture, with what was asked for otherwise.

        Raises:
            OptionsError: a value is outside its limits.
        """
        height, width = self.size or (default.height, default.width)
        changes = {name: getattr(self, name) for name in ("mean", "std", "resize")}
        given = {name: value for name, value in changes.items() if value is not None}
        image = dataclasses.replace(default, height=height, width=width, **given)
        _check(image)
        return image


@dataclass(frozen=True)
class Imported:
    """A model that follows `cnnrnn.export.CaptionModel`, and what its bundle says of itself.

    Attributes:
        model: in ``eval`` mode.
        alignment_grid: (rows, columns) of the positions that attention chooses between, or None.
        provenance: what it was made of.
    """

    model: Any
    tokenizer: Tokenizer
    image: ImageSpec
    search: SearchDefaults
    alignment_grid: tuple[int, int] | None = None
    provenance: dict[str, Any] = field(default_factory=dict)


def _check(image: ImageSpec) -> None:
    for name in ("height", "width"):
        value = getattr(image, name)
        if not isinstance(value, int) or not 1 <= value <= MAX_IMAGE_SIDE:
            raise OptionsError(f"image {name} = {value!r} must be a whole number from 1 to {MAX_IMAGE_SIDE}")
    for name in ("mean", "std"):
        value = getattr(image, name)
        plain = isinstance(value, tuple) and all(isinstance(number, (int, float)) for number in value)
        if not plain or len(value) != 3 or not all(map(math.isfinite, value)):
            raise OptionsError(f"image {name} = {value!r} must be three numbers, of red, green and blue")
    if min(image.std) <= 0:
        raise OptionsError(f"image std = {image.std} must be above 0")
    if image.resize not in get_args(Resize):
        raise OptionsError(f"image resize = {image.resize!r} must be one of {', '.join(get_args(Resize))}")
