"""What pycuda does not ask the driver for: current contexts, the names of errors, the sizes of arguments."""

from __future__ import annotations

import ctypes
import re
from ctypes import byref
from typing import Any

_LIBRARY = "libcuda.so.1"  # pycuda is linked with it, so it is there where pycuda is
_CODES = range(1, 1000)
_INVALID_VALUE = 1  # CUDA_ERROR_INVALID_VALUE: of a kernel's argument or an address that is none
_DEVICE_ORDINAL = 9  # CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
_DISABLE_TIMING = 2  # CU_EVENT_DISABLE_TIMING
# "cuMemAlloc failed: out of memory", and after a dash what the call itself says of it.
_SAID = re.compile(r"\bcu\w+ failed: (.*)", re.DOTALL)


class Libcuda:
    """The driver's library, beside pycuda."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(_LIBRARY)
        self._names: dict[str, str] | None = None

    def current(self) -> int:
        """The thread's current context, 0 for none."""
        context = ctypes.c_void_p()
        self._call("cuCtxGetCurrent", byref(context))
        return context.value or 0

    def set_current(self, context: int) -> None:
        """Put this context in the place of the current one, or nothing for 0."""
        self._call("cuCtxSetCurrent", ctypes.c_void_p(context))

    def owner(self, address: int) -> int | None:
        """See `cnnrnn.runtime.device.protocol.Device`."""
        ordinal = ctypes.c_int()
        asked = byref(ordinal), _DEVICE_ORDINAL, ctypes.c_uint64(address)
        unknown = self._call("cuPointerGetAttribute", *asked, also=_INVALID_VALUE)
        return None if unknown else ordinal.value

    def order(self, first: int, then: int) -> None:
        """See `cnnrnn.runtime.device.protocol.Device`; pycuda has no streams of others'."""
        event = ctypes.c_void_p()
        self._call("cuEventCreate", byref(event), _DISABLE_TIMING)
        try:
            self._call("cuEventRecord", event, ctypes.c_void_p(first))
            self._call("cuStreamWaitEvent", ctypes.c_void_p(then), event, 0)
        finally:
            self._call("cuEventDestroy_v2", event)

    def code_of(self, error: BaseException) -> str:
        """The driver's name of an error of pycuda's, which has but its text; empty for another exception."""
        said = _SAID.search(str(error))
        if said is None:
            return ""
        if self._names is None:
            self._names = {
                self._told("cuGetErrorString", code): self._told("cuGetErrorName", code) for code in _CODES
            }
            self._names.pop("", None)
        text = said.group(1)
        return self._names.get(text) or self._names.get(text.partition(" - ")[0], "")

    def argument_sizes(self, code: bytes, name: str) -> tuple[int, ...] | None:
        """The bytes of each argument of a kernel of this object code; None before CUDA 12.4.

        pycuda does not give its own function's handle away, so the code is loaded once more for the question.
        """
        if not hasattr(self._library, "cuFuncGetParamInfo"):
            return None
        module, function = ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuModuleLoadData", byref(module), code)
        try:
            self._call("cuModuleGetFunction", byref(function), module, name.encode())
            sizes: list[int] = []
            offset, size = ctypes.c_size_t(), ctypes.c_size_t()
            while not self._call(
                "cuFuncGetParamInfo", function, ctypes.c_size_t(len(sizes)), byref(offset), byref(size),
                also=_INVALID_VALUE,
            ):  # fmt: skip
                sizes.append(size.value)
            return tuple(sizes)
        finally:
            self._call("cuModuleUnload", module)

    def _call(self, function: str, *arguments: Any, also: int = 0) -> int:
        """A function's answer: success, or the one other that is expected."""
        error: int = getattr(self._library, function)(*arguments)
        if error not in (0, also):
            raise RuntimeError(self._told("cuGetErrorName", error) or f"{function} gave {error}")
        return error

    def _told(self, function: str, code: int) -> str:
        text = ctypes.c_char_p()
        getattr(self._library, function)(code, byref(text))
        return (text.value or b"").decode(errors="replace")
