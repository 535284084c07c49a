"""The driver's functions as `cuda.bindings` has them, for tests of the stand-in itself."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.driver import inside
from tests.driver.inside import Span


def driver() -> Any:
    """The module ``cuda.bindings.driver``."""
    return importlib.import_module("cuda.bindings.driver")


def core() -> Any:
    """The package ``cuda.core``."""
    return importlib.import_module("cuda.core")


def ok(result: Sequence[Any]) -> Any:
    """What a call gave beside its code, which has to be that of success."""
    code, *rest = result
    assert int(code) == 0, code
    return rest[0] if len(rest) == 1 else rest


def code(result: Sequence[Any]) -> str:
    """The name of a call's error."""
    return str(result[0].name)


def error_name(number: int) -> str:
    """``"CUDA_ERROR_OUT_OF_MEMORY"`` for 2."""
    return str(driver().CUresult(number).name)


def start() -> Any:
    """The driver, with the primary context of its first device current."""
    cu = driver()
    ok(cu.cuInit(0))
    ok(cu.cuCtxSetCurrent(ok(cu.cuDevicePrimaryCtxRetain(0))))
    return cu


def stream() -> Any:
    """A stream that takes no part in the default stream's order."""
    cu = driver()
    return ok(cu.cuStreamCreate(int(cu.CUstream_flags.CU_STREAM_NON_BLOCKING)))


def event() -> Any:
    """An event without times."""
    cu = driver()
    return ok(cu.cuEventCreate(int(cu.CUevent_flags.CU_EVENT_DISABLE_TIMING)))


def memory(size: int) -> Span:
    """Device memory."""
    return Span(int(ok(driver().cuMemAlloc(size))), size)


def pinned(size: int) -> Span:
    """Pinned memory of the host."""
    return Span(int(ok(driver().cuMemAllocHost(size))), size)


def on_host(span: Span, on: Any) -> list[int]:
    """The bytes of device memory, by a copy and a wait."""
    cu = driver()
    target = pinned(span.size)
    ok(cu.cuMemcpyAsync(target.address, span.address, span.size, on))
    ok(cu.cuStreamSynchronize(on))
    found = inside.view(target, np.uint8).tolist()
    ok(cu.cuMemFreeHost(target.address))
    return [int(byte) for byte in found]


def add(on: Any, target: Span, source: Span, name: str = "add") -> None:
    """Queue an engine that adds 1 to each byte of the source, into the target."""

    def work() -> None:
        inside.view(target, np.uint8)[:] = inside.view(source, np.uint8) + 1

    assert inside.enqueue(int(on), work, reads=[source], writes=[target], name=name) == 0


def touch(on: Any, *, reads: Sequence[Span] = (), writes: Sequence[Span] = (), name: str) -> None:
    """Queue an engine that only declares."""
    assert inside.enqueue(int(on), lambda: None, reads=reads, writes=writes, name=name) == 0


def cubin(source: str) -> bytes:
    """What NVRTC makes of it."""
    options = core().ProgramOptions(std="c++17", arch="sm_86")
    return bytes(core().Program(source, code_type="c++", options=options).compile("cubin").code)


def compiled(source: str, name: str) -> Any:
    """A kernel, compiled by NVRTC."""
    cu = driver()
    library = ok(cu.cuLibraryLoadData(cubin(source), [], [], 0, [], [], 0))
    return ok(cu.cuLibraryGetKernel(library, name.encode()))
