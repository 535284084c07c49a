"""A picture of a call, read and brought to the encoder's size."""

from __future__ import annotations

import os
from dataclasses import dataclass

from cnnrnn.core.manifest import ImageSpec
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.image import Color, ImageSource, Picture, fit, read_image


@dataclass(frozen=True)
class Taken:
    """A picture that is ready for the encoder, and what it took.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        name: of its file; None where there is none.
        stages_ms: ``decode`` and ``preprocess``.
    """

    pixels: Picture
    name: str | None
    stages_ms: dict[str, float]


def take(source: ImageSource, color: Color, spec: ImageSpec) -> Taken:
    """Read a picture and fit it.

    Raises:
        ImageError: it cannot be read; see `cnnrnn.runtime.image.read_image`.
    """
    clock = Clock()
    with clock.stage("decode"):
        picture = read_image(source, color)
    with clock.stage("preprocess"):
        pixels = fit(picture, spec)
    name = os.fspath(source) if isinstance(source, (str, os.PathLike)) else None
    return Taken(pixels, name, clock.stages_ms)
