"""What a DLPack capsule says of an array: https://dmlc.github.io/dlpack/latest/c_api.html."""

from __future__ import annotations

import ctypes
from ctypes import (
    POINTER,
    Structure,
    c_int,
    c_int32,
    c_int64,
    c_uint8,
    c_uint16,
    c_uint32,
    c_uint64,
    c_void_p,
)
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from cnnrnn.core.errors import ImageError

# ``DLDeviceType``: the host's memory, pinned or not; and a GPU's, managed memory among it.
ON_HOST = (1, 3)
ON_GPU = (2, 13)

_NAME, _VERSIONED_NAME = b"dltensor", b"dltensor_versioned"
# Of 1.0 and newer: an array that may not be written is given by none before.
_NEWEST = (1, 0)
_CODES = {0: "int", 1: "uint", 2: "float", 4: "bfloat", 5: "complex", 6: "bool"}


class _Device(Structure):
    _fields_ = (("type", c_int32), ("number", c_int32))


class _DataType(Structure):
    _fields_ = (("code", c_uint8), ("bits", c_uint8), ("lanes", c_uint16))


class _Tensor(Structure):
    _fields_ = (
        ("data", c_void_p),
        ("device", _Device),
        ("ndim", c_int),
        ("dtype", _DataType),
        ("shape", POINTER(c_int64)),
        ("strides", POINTER(c_int64)),
        ("byte_offset", c_uint64),
    )


class _Versioned(Structure):
    """``DLManagedTensorVersioned``."""

    _fields_ = (
        ("version", c_uint32 * 2),
        ("manager", c_void_p),
        ("deleter", c_void_p),
        ("flags", c_uint64),
        ("tensor", _Tensor),
    )


@runtime_checkable
class DlpackArray(Protocol):
    """An array of any library, on the host or on a device."""

    def __dlpack__(self, *, stream: Any = None) -> Any: ...

    def __dlpack_device__(self) -> tuple[Any, int]: ...


def is_on(source: object, kinds: tuple[int, ...]) -> bool:
    """Whether this is a DLPack array in one of these kinds of memory.

    Raises:
        ImageError: it cannot say where it lies.
    """
    if not isinstance(source, DlpackArray):
        return False
    try:
        kind, _ = source.__dlpack_device__()
        return int(kind) in kinds
    except Exception as error:  # a library raises what it likes
        raise ImageError(
            f"an object of type {type(source).__name__} cannot say by DLPack where it lies: {error}"
        ) from error


def export(source: DlpackArray, stream: int) -> Any:
    """A capsule of an array as it lies on a GPU.

    Args:
        stream: the handle of one that is to come behind what was queued to write the array; -1 for none.
    """
    newest: dict[str, Any] = {"max_version": _NEWEST}
    try:
        return source.__dlpack__(stream=stream, **newest)
    except TypeError:  # a library from before version 1.0
        return source.__dlpack__(stream=stream)


@dataclass(frozen=True)
class Strided:
    """An array as it lies in memory; strides in bytes, None where it is contiguous."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None


def read_capsule(capsule: Any) -> tuple[Strided, str]:
    """The array in a capsule that nobody has taken yet, and its type's name, ``"uint8"``.

    The capsule stays what it is: whoever holds it keeps the memory.

    Raises:
        ValueError: it is no such capsule.
    """
    tensor = _tensor(capsule)
    shape = tuple(tensor.shape[place] for place in range(tensor.ndim))
    size = tensor.dtype.bits * tensor.dtype.lanes // 8
    strides = tuple(size * tensor.strides[place] for place in range(tensor.ndim)) if tensor.strides else None
    lanes = f"x{tensor.dtype.lanes}" if tensor.dtype.lanes != 1 else ""
    name = f"{_CODES.get(tensor.dtype.code, 'unknown')}{tensor.dtype.bits}{lanes}"
    return Strided((tensor.data or 0) + tensor.byte_offset, shape, strides), name


def _tensor(capsule: Any) -> _Tensor:
    is_valid, get = ctypes.pythonapi.PyCapsule_IsValid, ctypes.pythonapi.PyCapsule_GetPointer
    is_valid.argtypes = get.argtypes = (ctypes.py_object, ctypes.c_char_p)
    get.restype = c_void_p
    if is_valid(capsule, _VERSIONED_NAME):
        return _Versioned.from_address(get(capsule, _VERSIONED_NAME)).tensor
    return _Tensor.from_address(get(capsule, _NAME))
