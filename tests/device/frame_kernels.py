"""What the kernel for frames does, for the stand-in driver: the host's own way to the encoder's picture."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from cnnrnn.runtime.image import _from_array, _resize
from tests.driver import inside
from tests.driver.inside import Span, Touched

Argument = Callable[[int, Any], Any]


@dataclass(frozen=True)
class Fit:
    """The arguments of ``fit_frame``."""

    out: int
    frame: int
    row_bytes: int
    frame_height: int
    frame_width: int
    channels: int
    is_bgr: int
    out_height: int
    out_width: int
    height: int
    width: int
    top: int
    left: int
    fill: int

    @staticmethod
    def of(argument: Argument) -> Fit:
        kinds = (ctypes.c_uint64, ctypes.c_uint64, ctypes.c_longlong, *[ctypes.c_int] * 11)
        return Fit(*(argument(number, kind) for number, kind in enumerate(kinds)))

    @property
    def read(self) -> Span:
        """From the first byte of the frame to its last."""
        size = self.row_bytes * (self.frame_height - 1) + self.frame_width * self.channels
        return Span(self.frame, size)

    @property
    def written(self) -> Span:
        return Span(self.out, self.out_height * self.out_width * 3)


def emulate() -> None:
    """``fit_frame`` of `cnnrnn.runtime.device.frames`."""
    inside.emulate("fit_frame", _touches, fit_frame)


def _touches(argument: Argument) -> Touched:
    fit = Fit.of(argument)
    return Touched([fit.read], [fit.written])


def fit_frame(argument: Argument) -> None:
    fit = Fit.of(argument)
    out = inside.view(fit.written, np.uint8, (fit.out_height, fit.out_width, 3))
    out[...] = fitted_picture(fit, inside.view(fit.read, np.uint8))


def fitted_picture(fit: Fit, data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) RGB, of a frame's bytes."""
    shape = (fit.frame_height, fit.frame_width, fit.channels)
    frame = as_strided(data, shape, (fit.row_bytes, fit.channels, 1))
    inner = _resize(_from_array(frame, "bgr" if fit.is_bgr else "rgb"), fit.height, fit.width)
    out = np.empty((fit.out_height, fit.out_width, 3), np.uint8)
    out[:] = [fit.fill >> shift & 255 for shift in (16, 8, 0)]
    rows, columns = (
        np.arange(size)[(np.arange(size) >= at) & (np.arange(size) < at + inner_size)]
        for size, at, inner_size in (
            (fit.out_height, fit.top, fit.height),
            (fit.out_width, fit.left, fit.width),
        )
    )
    out[np.ix_(rows, columns)] = inner[np.ix_(rows - fit.top, columns - fit.left)]
    return out
