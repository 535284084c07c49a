"""The check `devices`: is there a GPU, which, and what is installed."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from typing import Any

import cnnrnn
from benchmarks.gpu_check.notes import MissingError, Notes, Setting
from benchmarks.gpu_check.place import command
from cnnrnn.runtime.engine.device import Device, driver_version, find_device

_PACKAGES = (
    "numpy", "onnx", "onnxscript", "onnxruntime", "onnxruntime-gpu", "cuda-core", "cuda-bindings", "pycuda",
    "tensorrt", "tensorrt-cu12", "tensorrt-cu13", "tensorrt-rtx", "tensorrt-rtx-cu13-bindings",
    "tensorrt-rtx-cu13-libs", "torch", "torchvision", "triton", "cupy-cuda12x", "cupy-cuda13x",
    "nvidia-cuda-nvrtc", "nvidia-cudnn-cu12", "nvidia-cudnn-cu13",
)  # fmt: skip
_QUERY = "name,driver_version,memory.total,power.limit,clocks.max.sm,clocks.max.memory,persistence_mode"
_ANSWER_S = 15
MOST_DEVICES = 16


def devices(setting: Setting, notes: Notes) -> None:
    """Note the GPUs that the driver names."""
    notes.note(gpus=[])
    found: list[Device] = []
    while len(found) < MOST_DEVICES and (device := find_device(len(found))) is not None:
        found.append(device)
        notes.note(gpus=[vars(device) for device in found])
    notes.note(nvidia_smi=_nvidia_smi())
    if not found:
        raise MissingError("no GPU: there is no driver (libcuda.so.1), or it names no device; see nvidia-smi")
    first = found[0]
    others = f" and {len(found) - 1} more" if len(found) > 1 else ""
    summary = f"{first.name}{others}, compute capability {first.compute_capability}, CUDA {first.cuda}"
    notes.note(summary=f"{summary}, driver {first.driver or 'unknown'}")


def machine() -> dict[str, Any]:
    """The computer, without its GPU."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
    }


def driver() -> dict[str, Any]:
    """The kernel's driver, as far as the system says."""
    return {"version": driver_version() or None}


def versions() -> dict[str, str | None]:
    """Of each package that matters here; None where it is not installed."""
    found: dict[str, str | None] = {"cnnrnn": cnnrnn.__version__}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def _nvidia_smi() -> list[dict[str, str]] | None:
    """What it says of each GPU; None without it."""
    path = command("nvidia-smi")
    if not path:
        return None
    try:
        done = subprocess.run(
            [path, f"--query-gpu={_QUERY}", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=True,
            timeout=_ANSWER_S,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    names = _QUERY.split(",")
    return [
        dict(zip(names, map(str.strip, line.split(",")), strict=False)) for line in done.stdout.splitlines()
    ]


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
            return next(named, platform.processor())
    except OSError:
        return platform.processor()
