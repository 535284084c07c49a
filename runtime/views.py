"""Several views of one thing, such as a radiograph from the front and one from the side, as one picture.

Each view is fitted into a panel of its own, side by side from the left, so that what is downstream of a
picture (graphs, engines, devices) is the same for one view and for many. A view that is missing leaves its
panel empty.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cnnrnn.core.errors import ImageError
from cnnrnn.core.manifest import ImageSpec
from cnnrnn.runtime.image import Color, ImageSource, Picture, fit, read_image


@dataclass(frozen=True)
class Study:
    """Views of one thing, in the order that the bundle was trained with; None for one that is missing.

    Attributes:
        views: at most as many as the bundle has; those not given are missing.
    """

    views: tuple[ImageSource | None, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "views", tuple(self.views))
        if all(view is None for view in self.views):
            raise ImageError("the study has no view; give one picture at least")

    @property
    def name(self) -> str | None:
        """The first view's file; None where it is no file."""
        first = next(view for view in self.views if view is not None)
        return os.fspath(first) if isinstance(first, (str, os.PathLike)) else None

    def missing(self, spec: ImageSpec) -> int:
        """How many of the encoder's views the study lacks."""
        return spec.views - sum(view is not None for view in self.views)

    def read(self, color: Color, spec: ImageSpec) -> list[Picture | None]:
        """Each view as (H, W, 3) uint8 RGB.

        Raises:
            ImageError: there are more views than the encoder has panels, or one cannot be read.
        """
        if len(self.views) > spec.views:
            raise ImageError(
                f"the study has {len(self.views)} views and the bundle takes {spec.views} of each; leave the "
                "others out"
            )
        return [None if view is None else read_image(view, color) for view in self.views]


def fit_views(pictures: Sequence[Picture | None], spec: ImageSpec) -> Picture:
    """Views in their panels.

    Args:
        pictures: (H, W, 3) uint8 RGB each, sizes of their own; None, or too few, for views that are missing.
        spec: the encoder's input, whose width is ``spec.views`` panels'.

    Returns:
        (spec.height, spec.width, 3) uint8 RGB, contiguous; empty panels are ``spec.fill``.
    """
    panel = replace(spec, width=spec.width // spec.views, views=1)
    joined = np.empty((spec.height, spec.width, 3), np.uint8)
    joined[:] = spec.fill
    for number, picture in enumerate(pictures):
        if picture is not None:
            joined[:, number * panel.width : (number + 1) * panel.width] = fit(picture, panel)
    return joined
