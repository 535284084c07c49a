"""Frames in the stand-in's device memory, as the libraries that people hold frames in show them."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.driver import inside
from tests.driver.calls import driver, event, memory, ok, pinned, stream
from tests.driver.inside import Span

GPU = 2  # kDLCUDA


class Uploaded:
    """An array's copy in device memory, its rows ``pitch`` bytes apart, queued on a stream of its own.

    Args:
        wait: for the copy; else it is still to run.
    """

    def __init__(self, array: NDArray[np.uint8], pitch: int = 0, *, wait: bool = True) -> None:
        rows = array.reshape(array.shape[0], -1)
        self.array, self.pitch = array, pitch or rows.shape[1]
        size = self.pitch * (len(rows) - 1) + rows.shape[1]
        self.span, self._host, self.stream = memory(size), pinned(size), int(stream())
        padded = np.full((len(rows), self.pitch), 0xEE, np.uint8)
        padded[:, : rows.shape[1]] = rows
        inside.view(self._host, np.uint8)[:] = padded.ravel()[:size]
        self.write()
        if wait:
            self.synchronize()

    def write(self) -> None:
        """Queue writing the frame (again)."""
        span, host = self.span, self._host
        ok(driver().cuMemcpyHtoDAsync(span.address, host.address, span.size, self.stream))

    def synchronize(self) -> None:
        ok(driver().cuStreamSynchronize(self.stream))

    def free(self) -> None:
        cu = driver()
        self.synchronize()
        ok(cu.cuMemFree(self.span.address))
        ok(cu.cuMemFreeHost(self._host.address))
        ok(cu.cuStreamDestroy(self.stream))

    @property
    def strides(self) -> tuple[int, ...]:
        return (self.pitch, *self.array.strides[1:])

    def shown(self, **changes: Any) -> Interface:
        """By the CUDA array interface, version 3."""
        return Interface(
            {
                "version": 3,
                "shape": self.array.shape,
                "typestr": "|u1",
                "data": (self.span.address, True),
                "strides": self.strides,
                "stream": self.stream,
                **changes,
            }
        )

    def dlpack(self, **changes: Any) -> Dlpack:
        """By DLPack."""
        return Dlpack(self, **changes)


class Interface:
    """Something with a CUDA array interface."""

    def __init__(self, interface: dict[str, Any]) -> None:
        self.__cuda_array_interface__ = interface


class _Managed(ctypes.Structure):
    """``DLManagedTensor``: data, device, ndim, type, shape, strides, offset, and who to tell of its end."""

    _fields_ = (
        ("data", ctypes.c_uint64), ("device_type", ctypes.c_int32), ("device", ctypes.c_int32),
        ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16), ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)), ("offset", ctypes.c_uint64),
        ("manager", ctypes.c_void_p), ("deleter", ctypes.c_void_p),
    )  # fmt: skip


class Dlpack:
    """A producer as the protocol asks for: it orders the consumer's stream behind its own."""

    def __init__(self, frame: Uploaded, *, code: int = 1, kind: int = GPU, device: int = 0) -> None:
        self._frame, self._code, self._kind, self._device = frame, code, kind, device
        self.streams: list[Any] = []
        self._kept: list[Any] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._kind, self._device

    def __dlpack__(self, *, stream: Any = None) -> Any:
        self.streams.append(stream)
        if stream not in (-1, None):
            cu, written = driver(), event()
            ok(cu.cuEventRecord(written, self._frame.stream))
            ok(cu.cuStreamWaitEvent(stream, written, 0))
            ok(cu.cuEventDestroy(written))
        shape, strides = self._frame.array.shape, self._frame.strides
        numbers = ctypes.c_int64 * len(shape)
        # The data begin 4 bytes before, as an offset may have it.
        tensor = _Managed(
            self._frame.span.address - 4, self._kind, self._device, len(shape), self._code, 8, 1,
            numbers(*shape), numbers(*strides), 4,
        )  # fmt: skip
        self._kept.append(tensor)
        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
        return new(ctypes.addressof(tensor), b"dltensor", None)


def unknown() -> Span:
    """Memory that the driver knows nothing of."""
    return Span(ctypes.addressof(ctypes.create_string_buffer(64)), 64)
