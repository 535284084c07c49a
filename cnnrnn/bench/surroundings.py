"""What a figure depends on beside the program: processor, clocks, limits, power mode, GPU, versions."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import cnnrnn
from cnnrnn.core.machine import distribution_version, gpus, jetson, processor
from cnnrnn.runtime.threads import physical_cores

_CPU = Path("/sys/devices/system/cpu")
_CGROUP = Path("/sys/fs/cgroup")
_PACKAGES = (
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "tensorrt",
    "tensorrt-rtx",
    "opencv-python",
    "opencv-python-headless",
    "torch",
)
_COMMAND_TIMEOUT_S = 10


def surroundings() -> dict[str, Any]:
    """Everything that can be read without rights of an administrator; what cannot is None.

    Nothing in it names the machine or its user.
    """
    return {
        "processor": processor(),
        "architecture": platform.machine(),
        "logical_cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "physical_cores": physical_cores(),
        "governor": _text(_CPU / "cpu0/cpufreq/scaling_governor"),
        "largest_clock_mhz": _megahertz(_CPU / "cpu0/cpufreq/cpuinfo_max_freq"),
        "turbo": _turbo(),
        "processor_quota": _text(_CGROUP / "cpu.max"),
        "memory_limit": _text(_CGROUP / "memory.max"),
        "memory_mib": _memory_mib(),
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.release()}",
        "gpus": [str(gpu) for gpu in gpus()],
        "gpu_clocks": _said(
            "nvidia-smi", "--query-gpu=clocks.sm,clocks.mem,power.limit", "--format=csv,noheader"
        ),
        "jetson": jetson(),
        "power_mode": _said("nvpmodel", "-q"),
        "versions": {
            "cnnrnn": cnnrnn.__version__,
            "python": platform.python_version(),
            **distribution_version(*_PACKAGES),
        },
    }


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _megahertz(file: Path) -> float | None:
    text = _text(file)
    return int(text) / 1000 if text and text.isdigit() else None


def _turbo() -> bool | None:
    """Whether the processor may go above its base clock, as Linux's drivers say it."""
    if (disabled := _text(_CPU / "intel_pstate/no_turbo")) is not None:
        return disabled == "0"
    if (boost := _text(_CPU / "cpufreq/boost")) is not None:
        return boost == "1"
    return None


def _memory_mib() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    except (AttributeError, ValueError, OSError):
        return None


def _said(*command: str) -> str | None:
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=_COMMAND_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None
