"""Kernels compiled by NVRTC, which is one library, or else by nvcc, which is a toolkit and a C++ compiler."""

from __future__ import annotations

import ctypes
import shutil
import site
from contextlib import suppress
from ctypes import byref
from pathlib import Path

from cnnrnn.core.errors import MissingDependencyError
from cnnrnn.core.extras import require

_OPTIONS = ("--std=c++17",)


def compile_source(source: str, arch: str, cuda: tuple[int, int]) -> bytes:
    """The object code (cubin) of a CUDA source; whatever the compiler raises comes out.

    Args:
        arch: ``"sm_86"``.
        cuda: of the driver, which cannot load what a newer NVRTC made.

    Raises:
        MissingDependencyError: neither compiler is there.
        RuntimeError: NVRTC refused; it has its code and its messages.
    """
    library = _nvrtc(cuda[0])
    if library is not None:
        return _by_nvrtc(library, source, arch)
    if shutil.which("nvcc"):
        compiler = require("pycuda.compiler", "pycuda")
        made: bytes = compiler.compile(
            source, options=list(_OPTIONS), no_extern_c=True, arch=arch, cache_dir=False
        )
        return made
    wheel = "nvidia-cuda-nvrtc-cu12" if cuda[0] == 12 else "nvidia-cuda-nvrtc"
    raise MissingDependencyError(
        f"pycuda has no compiler for kernels: neither NVRTC of CUDA {cuda[0]} (libnvrtc) nor nvcc is here. "
        f"Install one: pip install {wheel}, or a CUDA toolkit, with its nvcc on PATH",
        name="nvrtc",
    )


def _nvrtc(major: int) -> ctypes.CDLL | None:
    """Of a toolkit that the loader knows, or of a wheel: of this version of CUDA, or an older one."""
    versions = [*(str(version) for version in range(major, 11, -1)), "11.2"]
    folders = [Path(folder) for folder in (*site.getsitepackages(), site.getusersitepackages())]
    for version in versions:
        name = f"libnvrtc.so.{version}"
        with suppress(OSError):
            return ctypes.CDLL(name)
        for path in (path for folder in folders for path in folder.glob(f"nvidia/*/lib/{name}")):
            with suppress(OSError):
                # It opens this by its name alone, which the loader finds if it is open.
                for builtins in path.parent.glob("libnvrtc-builtins.so.*"):
                    ctypes.CDLL(str(builtins))
                return ctypes.CDLL(str(path))
    return None


def _by_nvrtc(library: ctypes.CDLL, source: str, arch: str) -> bytes:
    program = ctypes.c_void_p()
    options = [option.encode() for option in (*_OPTIONS, f"--gpu-architecture={arch}")]
    _checked(
        library, library.nvrtcCreateProgram(byref(program), source.encode(), b"kernel.cu", 0, None, None)
    )
    try:
        error = library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
        if error:
            log = _bytes(library, program, "ProgramLog").rstrip(b"\0\n").decode(errors="replace")
            _checked(library, error, log)
        return _bytes(library, program, "CUBIN")
    finally:
        library.nvrtcDestroyProgram(byref(program))


def _bytes(library: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> bytes:
    """What NVRTC has of a program: its ``CUBIN``, or its ``ProgramLog``."""
    size = ctypes.c_size_t()
    _checked(library, getattr(library, f"nvrtcGet{what}Size")(program, byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _checked(library, getattr(library, f"nvrtcGet{what}")(program, buffer))
    return buffer.raw


def _checked(library: ctypes.CDLL, error: int, log: str = "") -> None:
    if error:
        library.nvrtcGetErrorString.restype = ctypes.c_char_p
        name = library.nvrtcGetErrorString(error).decode()
        raise RuntimeError(f"{name}: {log}" if log else name)
