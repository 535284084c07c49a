"""The GPU of this machine, as far as building needs it, asked of the driver's own library.

No TensorRT and no CUDA package is needed for it, and a machine without a driver is an answer, not an error.
"""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from pathlib import Path

LIBRARY = "libcuda.so.1"
DRIVER_VERSION = Path("/proc/driver/nvidia/version")
_NAME_BYTES = 128
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*


@dataclass(frozen=True)
class Device:
    """One GPU.

    Attributes:
        name: ``"Orin"``, ``"NVIDIA GeForce RTX 3090"``.
        compute_capability: ``"8.7"``.
        driver: the kernel driver's version, ``"580.82.07"``; empty where the system does not say.
        cuda: the newest CUDA that the driver runs, ``"13.0"``.
    """

    name: str
    compute_capability: str
    driver: str = ""
    cuda: str = ""


def find_device(index: int = 0) -> Device | None:
    """The GPU of this number, or None without a driver or without so many GPUs."""
    try:
        cuda = ctypes.CDLL(LIBRARY)
    except OSError:
        return None
    handle, count = ctypes.c_int(), ctypes.c_int()
    if cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count)) or count.value <= index:
        return None
    if cuda.cuDeviceGet(ctypes.byref(handle), index):
        return None
    name = ctypes.create_string_buffer(_NAME_BYTES)
    cuda.cuDeviceGetName(name, _NAME_BYTES, handle)
    version = ctypes.c_int()
    cuda.cuDriverGetVersion(ctypes.byref(version))
    major, minor = (_attribute(cuda, code, handle) for code in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR))
    return Device(
        name=name.value.decode(errors="replace"),
        compute_capability=f"{major}.{minor}",
        driver=driver_version(),
        cuda=f"{version.value // 1000}.{version.value % 1000 // 10}",
    )


def driver_version(path: Path = DRIVER_VERSION) -> str:
    """The kernel driver's version, empty where there is none or it does not say."""
    try:
        match = re.search(r"Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)\s", path.read_text(errors="replace"))
    except OSError:
        return ""
    return match.group(1) if match else ""


def _attribute(cuda: ctypes.CDLL, code: int, handle: ctypes.c_int) -> int:
    value = ctypes.c_int()
    cuda.cuDeviceGetAttribute(ctypes.byref(value), code, handle)
    return value.value
