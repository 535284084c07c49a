"""Modules and functions, arguments in one buffer, and what the stand-in does not have: as pycuda asks."""

from __future__ import annotations

import ctypes
import struct
from typing import Any

from tests.driver import inside
from tests.driver.calls import code, cubin, driver, memory, ok, on_host, start, stream
from tests.driver.rig import Rig
from tests.driver.test_kernels import FILL, emulate_fill

# CU_LAUNCH_PARAM_END, _BUFFER_POINTER and _BUFFER_SIZE of cuda.h.
_END, _BUFFER, _SIZE = 0, 1, 2


def launch_packed(function: Any, on: Any, packed: bytes) -> int:
    """The driver's error; a buffer of arguments is what `cuda.bindings` does not offer."""
    size = ctypes.c_size_t(len(packed))
    buffer = ctypes.create_string_buffer(packed, max(1, len(packed)))
    config = (ctypes.c_void_p * 5)(_BUFFER, ctypes.addressof(buffer), _SIZE, ctypes.addressof(size), _END)
    one = ctypes.c_uint(1)
    error: int = inside.library().cuLaunchKernel(
        ctypes.c_void_p(int(function)), one, one, one, one, one, one, ctypes.c_uint(0),
        ctypes.c_void_p(int(on)), None, config,
    )  # fmt: skip
    return error


def packed_arguments() -> list[Any]:
    cu = start()
    on, span = stream(), memory(4)
    emulate_fill()
    module = ok(cu.cuModuleLoadData(cubin(FILL)))
    function = ok(cu.cuModuleGetFunction(module, b"fill"))
    packed = struct.pack("@Pcid", span.address, b"\x07", 3, 0.0)
    errors = [launch_packed(function, on, some) for some in (packed, packed[:-4], packed + bytes(8), b"")]
    found = on_host(span, on)
    ok(cu.cuMemFree(span.address))
    ok(cu.cuModuleUnload(module))
    ok(cu.cuStreamDestroy(on))
    return [errors, found]


def test_arguments_in_one_buffer(rig: Rig) -> None:
    """Of exactly their size: a driver reads as much as the kernel takes."""
    outcome = rig.run(packed_arguments)
    assert outcome.value == [[0, 1, 1, 1], [7, 7, 7, 0xCD]]
    assert outcome.counts["kernels"] == 1


def of_a_module() -> list[Any]:
    cu = start()
    module = ok(cu.cuModuleLoadData(cubin(FILL)))
    function = ok(cu.cuModuleGetFunction(module, b"fill"))
    sizes = [int(ok(cu.cuFuncGetParamInfo(function, index))[1]) for index in range(4)]
    seen = [
        code(cu.cuFuncGetParamInfo(function, 4)),
        code(cu.cuModuleGetFunction(module, b"empty")),
        code(cu.cuModuleLoadData(b"no image of code")),
    ]
    other = ok(cu.cuCtxCreate(None, 0, 0))
    seen.append(code(cu.cuModuleGetFunction(module, b"fill")))
    ok(cu.cuCtxDestroy(other))
    ok(cu.cuModuleUnload(module))
    seen.append(code(cu.cuFuncGetParamInfo(function, 0)))
    return [sizes, seen]


def test_a_function_goes_with_its_module(rig: Rig) -> None:
    outcome = rig.try_out(of_a_module)
    assert outcome.value == [
        [8, 1, 4, 8],
        ["CUDA_ERROR_INVALID_VALUE", "CUDA_ERROR_NOT_FOUND", "CUDA_ERROR_INVALID_IMAGE"]
        + ["CUDA_ERROR_INVALID_HANDLE"] * 2,
    ]
    assert outcome.reports == [
        "module 1 of one context was used while another was current",
        "kernel 1 was used after it was destroyed",
    ]
    assert outcome.leaks == {}


def asks_for_textures() -> str:
    cu = start()
    return code(cu.cuTexRefCreate())


def test_what_it_does_not_have_is_said(rig: Rig) -> None:
    outcome = rig.try_out(asks_for_textures)
    assert outcome.value == "CUDA_ERROR_NOT_SUPPORTED"
    assert outcome.calls[-1] == "cuTexRefCreate"
    assert outcome.reports == ["cuTexRefCreate was called, which the stand-in does not have"]


def texts() -> list[str]:
    cu = driver()
    return [ok(cu.cuGetErrorString(cu.CUresult(error))).decode() for error in (2, 719)]


def test_errors_have_the_drivers_texts(rig: Rig) -> None:
    assert rig.run(texts).value == ["out of memory", "unspecified launch failure"]
