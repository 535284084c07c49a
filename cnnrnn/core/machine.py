"""What this machine has: packages, engines, GPUs. `module_error` and the providers alone import."""

from __future__ import annotations

import csv
import ctypes
import importlib
import importlib.metadata
import importlib.util
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

TEGRA_RELEASE = Path("/etc/nv_tegra_release")
JETPACK_OF_RELEASE = {32: "4", 34: "5", 35: "5", 36: "6", 38: "7"}
COMMAND_TIMEOUT_S = 10
NVML_NAME_BYTES = 96


@dataclass(frozen=True)
class Gpu:
    """One GPU: its name, and where the driver says so its version, memory and compute capability."""

    name: str
    driver: str = ""
    memory_mib: int | None = None
    capability: str = ""

    def __str__(self) -> str:
        details = [
            f"{self.memory_mib} MiB" if self.memory_mib else "",
            f"sm_{self.capability.replace('.', '')}" if self.capability else "",
            f"driver {self.driver}" if self.driver else "",
        ]
        return ", ".join([self.name, *filter(None, details)])


def distribution_version(*names: str) -> dict[str, str]:
    """The versions of those of the named distributions that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def module_found(name: str) -> bool:
    """Whether a module can be found, without importing it."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def module_error(name: str) -> str | None:
    """``None`` where the module imports, else why it does not."""
    try:
        importlib.import_module(name)
    except Exception as error:  # a broken native library may raise anything
        return f"{type(error).__name__}: {error}"
    return None


def onnxruntime_providers() -> list[str]:
    """The execution providers that the installed ONNX Runtime was built with; empty without it."""
    try:
        runtime = importlib.import_module("onnxruntime")
        return list(runtime.get_available_providers())
    except Exception:  # not installed, or its native library does not load: `module_error` says which
        return []


def processor() -> str:
    """The processor's name."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    match = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return match.group(1) if match else platform.processor() or platform.machine()


def jetson(release: Path = TEGRA_RELEASE) -> str | None:
    """Which Jetson software this is, as ``L4T 36.4.0 (JetPack 6)``; ``None`` on any other machine."""
    try:
        text = release.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    match = re.search(r"R(\d+)\s*\(release\),\s*REVISION:\s*([\d.]+)", text)
    if match is None:
        return "L4T of an unknown release"
    jetpack = JETPACK_OF_RELEASE.get(int(match.group(1)))
    return f"L4T {match.group(1)}.{match.group(2)}" + (f" (JetPack {jetpack})" if jetpack else "")


def gpus() -> list[Gpu]:
    """Every NVIDIA GPU that the driver shows: by ``nvidia-smi``, or by NVML where that is missing."""
    program = shutil.which("nvidia-smi")
    if program is not None:
        found = _gpus_by_command(program)
        if found:
            return found
    return _gpus_by_nvml()


def _gpus_by_command(program: str) -> list[Gpu]:
    query = "--query-gpu=name,driver_version,memory.total,compute_cap"
    try:
        answer = subprocess.run(
            [program, query, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    rows = csv.reader(answer.stdout.splitlines(), skipinitialspace=True)
    return [
        Gpu(row[0], row[1], int(row[2]) if row[2].isdigit() else None, row[3])
        for row in rows
        if len(row) == 4
    ]


def _gpus_by_nvml() -> list[Gpu]:
    """By the driver's management library, whose functions return 0 for success."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return []
    if nvml.nvmlInit_v2() != 0:
        return []
    count = ctypes.c_uint()
    found = []
    if nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 0:
        for index in range(count.value):
            device = ctypes.c_void_p()
            name = ctypes.create_string_buffer(NVML_NAME_BYTES)
            if (
                nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device)) == 0
                and nvml.nvmlDeviceGetName(device, name, NVML_NAME_BYTES) == 0
            ):
                found.append(Gpu(name.value.decode(errors="replace")))
    nvml.nvmlShutdown()
    return found
