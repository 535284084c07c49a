"""Kernels of ``cuda.core``, compiled by NVRTC when they are first asked for."""

from __future__ import annotations

from typing import Any

from cnnrnn.runtime.device.compiled import CompiledKernel


class CoreKernel(CompiledKernel):
    """A kernel of ``cuda.core``."""


def compile_source(core: Any, source: str, arch: str) -> Any:
    """The object code of ``cuda.core``; whatever that raises comes out.

    Args:
        core: the package ``cuda.core``.
        arch: ``"sm_86"``.
    """
    program = core.Program(source, code_type="c++", options=core.ProgramOptions(std="c++17", arch=arch))
    try:
        return program.compile("cubin")
    finally:
        program.close()


def load_kernel(code: Any, name: str, *, driver_tells_sizes: bool) -> CoreKernel:
    """A kernel of object code; whatever ``cuda.core`` raises comes out."""
    raw = code.get_kernel(name)
    sizes = tuple(info.size for info in raw.arguments_info) if driver_tells_sizes else None
    return CoreKernel(raw, name, sizes)
