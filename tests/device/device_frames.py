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
    """An array's copy in device memory, its rows ``pitch`` bytes apart.

    Args:
        wait: for the copy; else it is still to run.
        on: the stream that it is queued on: 1 and 2, the default ones; 0 for one of its own.
    """

    def __init__(self, array: NDArray[np.uint8], pitch: int = 0, *, wait: bool = True, on: int = 0) -> None:
        rows = array.reshape(array.shape[0], -1)
        self.array, self.pitch = array, pitch or rows.shape[1]
        size = self.pitch * (len(rows) - 1) + rows.shape[1]
        self.span, self._host, self.stream = memory(size), pinned(size), on or int(stream())
        self._owns_stream = not on
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
        if self._owns_stream:
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

    def shown_by_2(self, **changes: Any) -> Interface:
        """By version 2, which says nothing of streams."""
        interface = self.shown(version=2, **changes).__cuda_array_interface__
        return Interface({name: said for name, said in interface.items() if name != "stream"})

    def dlpack(self, **changes: Any) -> Dlpack:
        """By DLPack."""
        return Dlpack(self, **changes)


class Interface:
    """Something with a CUDA array interface."""

    def __init__(self, interface: Any) -> None:
        self.__cuda_array_interface__ = interface


class _Tensor(ctypes.Structure):
    """``DLTensor``: data, device, ndim, type, shape, strides, offset."""

    _fields_ = (
        ("data", ctypes.c_uint64), ("device_type", ctypes.c_int32), ("device", ctypes.c_int32),
        ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16), ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)), ("offset", ctypes.c_uint64),
    )  # fmt: skip


class _Managed(ctypes.Structure):
    """``DLManagedTensor``: a tensor, and who to tell of its end."""

    _fields_ = (("tensor", _Tensor), ("manager", ctypes.c_void_p), ("deleter", ctypes.c_void_p))


class _Versioned(ctypes.Structure):
    """``DLManagedTensorVersioned``."""

    _fields_ = (
        ("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("manager", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p), ("flags", ctypes.c_uint64), ("tensor", _Tensor),
    )  # fmt: skip


READ_ONLY = 1  # DLPACK_FLAG_BITMASK_READ_ONLY


class Dlpack:
    """A producer as the protocol asks for: it orders the consumer's stream behind its own.

    Args:
        frame: what it has.
        code: of the type, 1 for unsigned.
        kind, device: where it says that it lies.
    """

    def __init__(self, frame: Any, *, code: int = 1, kind: int = GPU, device: int = 0) -> None:
        self._frame, self._code, self._kind, self._device = frame, code, kind, device
        self.streams: list[Any] = []
        self._kept: list[Any] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._kind, self._device

    def __dlpack__(self, *, stream: Any = None) -> Any:
        self._order(stream)
        return self._capsule(_Managed(tensor=self._tensor()), b"dltensor")

    def _order(self, stream: Any) -> None:
        self.streams.append(stream)
        if stream not in (-1, None):
            cu, written = driver(), event()
            ok(cu.cuEventRecord(written, self._frame.stream))
            ok(cu.cuStreamWaitEvent(stream, written, 0))
            ok(cu.cuEventDestroy(written))

    def _tensor(self) -> _Tensor:
        shape, strides = self._frame.array.shape, self._frame.strides
        numbers = ctypes.c_int64 * len(shape)
        # The data begin 4 bytes before, as an offset may have it.
        return _Tensor(
            self._frame.span.address - 4, self._kind, self._device, len(shape), self._code, 8, 1,
            numbers(*shape), numbers(*strides), 4,
        )  # fmt: skip

    def _capsule(self, managed: ctypes.Structure, name: bytes) -> Any:
        self._kept.append(managed)
        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
        return new(ctypes.addressof(managed), name, None)


class ReadOnly(Dlpack):
    """One that may not be written: only capsules of version 1.0 and newer can say so."""

    def __dlpack__(self, *, stream: Any = None, max_version: tuple[int, int] | None = None) -> Any:
        if max_version is None or max_version[0] < 1:
            raise BufferError("a read-only array cannot be exported by this version")
        self._order(stream)
        return self._capsule(_Versioned(1, 0, flags=READ_ONLY, tensor=self._tensor()), b"dltensor_versioned")


class Tensor(Dlpack):
    """As torch's: a version 2 of the interface, and DLPack only while its GPU is the current one."""

    def __init__(self, frame: Uploaded, *, device: int = 0) -> None:
        super().__init__(frame, device=device)
        self.__cuda_array_interface__ = frame.shown_by_2().__cuda_array_interface__

    def __dlpack__(self, *, stream: Any = None) -> Any:
        current = int(ok(driver().cuCtxGetDevice()))
        if current != self._device:
            raise BufferError(f"Can't export tensors on a different CUDA device index. Current: {current}")
        return super().__dlpack__(stream=stream)


def unknown() -> Span:
    """Memory that the driver knows nothing of."""
    return Span(ctypes.addressof(ctypes.create_string_buffer(64)), 64)
