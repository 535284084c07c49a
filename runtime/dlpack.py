"""What a DLPack capsule says of an array: https://dmlc.github.io/dlpack/latest/c_api.html."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_int, c_int32, c_int64, c_uint8, c_uint16, c_uint64, c_void_p
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

# ``DLDeviceType``: the host's memory; and a GPU's, the host's that is pinned, and managed memory.
ON_CPU = (1,)
ON_GPU = (2, 3, 13)

_NAME = b"dltensor"
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


@runtime_checkable
class DlpackArray(Protocol):
    """An array of any library, on the host or on a device."""

    def __dlpack__(self, *, stream: Any = None) -> Any: ...

    def __dlpack_device__(self) -> tuple[Any, int]: ...


def is_on(source: object, kinds: tuple[int, ...]) -> bool:
    """Whether this is a DLPack array in one of these kinds of memory."""
    return isinstance(source, DlpackArray) and int(source.__dlpack_device__()[0]) in kinds


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
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = c_void_p, (ctypes.py_object, ctypes.c_char_p)
    tensor = _Tensor.from_address(get(capsule, _NAME))
    shape = tuple(tensor.shape[place] for place in range(tensor.ndim))
    size = tensor.dtype.bits * tensor.dtype.lanes // 8
    strides = tuple(size * tensor.strides[place] for place in range(tensor.ndim)) if tensor.strides else None
    lanes = f"x{tensor.dtype.lanes}" if tensor.dtype.lanes != 1 else ""
    name = f"{_CODES.get(tensor.dtype.code, 'unknown')}{tensor.dtype.bits}{lanes}"
    return Strided((tensor.data or 0) + tensor.byte_offset, shape, strides), name
