"""Two kernels for tests of the device layer, and what the stand-in driver does for them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from cnnrnn.runtime.device import Device, Kernel
from tests.driver import inside
from tests.driver.inside import Span, Touched

Argument = Callable[[int, Any], Any]

SOURCE = r"""
extern "C" __device__ __cudart_builtin__ void
cudaGraphSetConditional(cudaGraphConditionalHandle handle, unsigned int value);

// Adds `by` to each of n numbers.
extern "C" __global__ void add(int *numbers, int n, int by) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) numbers[i] += by;
}

// Lets a loop go on while the first number is below the limit.
extern "C" __global__ void below(cudaGraphConditionalHandle handle, const int *numbers, int limit) {
    cudaGraphSetConditional(handle, numbers[0] < limit);
}
"""


def add_kernel(device: Device) -> Kernel:
    """``add``, emulated."""

    def numbers(argument: Argument) -> Span:
        return Span(argument(0, ctypes.c_uint64), 4 * argument(1, ctypes.c_int))

    def touches(argument: Argument) -> Touched:
        return Touched([numbers(argument)], [numbers(argument)])

    def work(argument: Argument) -> None:
        inside.view(numbers(argument), np.int32)[:] += argument(2, ctypes.c_int)

    inside.emulate("add", touches, work)
    return device.kernel(SOURCE, "add")


def below_kernel(device: Device) -> Kernel:
    """``below``, emulated."""

    def first(argument: Argument) -> Span:
        return Span(argument(1, ctypes.c_uint64), 4)

    def work(argument: Argument) -> None:
        goes_on = inside.view(first(argument), np.int32)[0] < argument(2, ctypes.c_int)
        inside.set_condition(argument(0, ctypes.c_uint64), int(goes_on))

    inside.emulate("below", lambda argument: Touched([first(argument)], ()), work)
    return device.kernel(SOURCE, "below")
