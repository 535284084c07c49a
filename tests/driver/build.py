"""Builds the stand-in for ``libcuda.so.1`` (the folder ``standin``) with the system's C compiler."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).with_name("standin")
_FLAGS = ("-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread")


def missing() -> str:
    """Why the stand-in cannot be built or used here; empty where it can."""
    if sys.platform != "linux":
        return f"the stand-in driver is for Linux, and this is {sys.platform}"
    if shutil.which("gcc") is None:
        return "gcc is not installed, which builds the stand-in driver"
    if headers() is None:
        return "cuda.h is not installed: pip install nvidia-cuda-runtime"
    return ""


def headers() -> Path | None:
    """The folder of ``cuda.h``: of the wheel nvidia-cuda-runtime, or of a toolkit."""
    packages = [Path(folder) for folder in (*site.getsitepackages(), site.getusersitepackages())]
    candidates = [path.parent for folder in packages for path in folder.glob("nvidia/*/include/cuda.h")]
    toolkits = [os.environ.get(name) for name in ("CUDA_PATH", "CUDA_HOME")] + ["/usr/local/cuda"]
    candidates += [Path(toolkit) / "include" for toolkit in toolkits if toolkit]
    return next((folder for folder in candidates if (folder / "cuda.h").is_file()), None)


def build(folder: Path) -> Path:
    """Compile ``libcuda.so.1`` into the folder, which it returns: what LD_LIBRARY_PATH has to name."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        "gcc",
        *_FLAGS,
        f"-I{headers()}",
        f"-Wl,-soname,libcuda.so.1,-Bsymbolic,--version-script={SOURCES / 'exports.map'}",
        "-o",
        str(folder / "libcuda.so.1"),
        *map(str, sorted(SOURCES.glob("*.c"))),
        "-ldl",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"the stand-in driver does not compile:\n{done.stderr}")
    return folder
