"""A picture of a call, read and brought to the encoder's size."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from cnnrnn.core.errors import ImageError
from cnnrnn.core.manifest import ImageSpec
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.frame import CudaArray, DeviceFrame, read_frame
from cnnrnn.runtime.image import Color, ImageSource, Picture, fit, read_image
from cnnrnn.runtime.views import Study, fit_views

# What a model captions: what a host can read, frames on a GPU, and studies of several views.
FrameSource: TypeAlias = ImageSource | CudaArray | Study


@dataclass(frozen=True)
class Taken:
    """A picture that is ready for the encoder, and what it took.

    Attributes:
        pixels: (H, W, 3) uint8 RGB; or a frame on a device, which is brought to that there, as a part of the
            stage ``encoder``.
        name: of its file; None where there is none.
        stages_ms: ``decode`` and ``preprocess``.
        size: height and width in pixels, as it was given.
        missing_views: of a bundle of several views, those that were not given.
    """

    pixels: Picture | DeviceFrame
    name: str | None
    stages_ms: dict[str, float]
    size: tuple[int, int]
    missing_views: int = 0


def take(
    source: FrameSource, color: Color, spec: ImageSpec, check_frame: Callable[[DeviceFrame], None]
) -> Taken:
    """Read a picture and fit it, or take a frame as it lies on a device.

    Args:
        check_frame: raises for a frame that the backend cannot read.

    Raises:
        ImageError: it cannot be read; see `cnnrnn.runtime.image.read_image` and
            `cnnrnn.runtime.frame.read_frame`.
    """
    if isinstance(source, Study) or spec.views > 1:
        study = source if isinstance(source, Study) else Study((_on_host(source, spec),))
        return _take_study(study, color, spec)
    clock = Clock()
    with clock.stage("decode"):
        picture = read_frame(source, color, spec) or read_image(source, color)  # type: ignore[arg-type]
    if isinstance(picture, DeviceFrame):
        check_frame(picture)
        return Taken(picture, None, clock.stages_ms, (picture.height, picture.width))
    with clock.stage("preprocess"):
        pixels = fit(picture, spec)
    name = os.fspath(source) if isinstance(source, (str, os.PathLike)) else None
    return Taken(pixels, name, clock.stages_ms, (picture.shape[0], picture.shape[1]))


def _take_study(study: Study, color: Color, spec: ImageSpec) -> Taken:
    clock = Clock()
    with clock.stage("decode"):
        pictures = study.read(color, spec)
    with clock.stage("preprocess"):
        pixels = fit_views(pictures, spec)
    return Taken(pixels, study.name, clock.stages_ms, (pixels.shape[0], pixels.shape[1]), study.missing(spec))


def _on_host(source: FrameSource, spec: ImageSpec) -> ImageSource:
    """One view of several, which are joined on the host.

    Raises:
        ImageError: it lies on a GPU.
    """
    if isinstance(source, CudaArray):
        raise ImageError(
            f"the frame lies on a GPU, and the bundle's {spec.views} views are joined on the host; copy it"
        )
    return source  # type: ignore[return-value]
