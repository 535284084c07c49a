"""The GPU and its driver."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import pytest

from cnnrnn.runtime.engine import device as devices
from cnnrnn.runtime.engine.device import Device, driver_version, find_device


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.82.07  Wed Aug 27 2025\n", "580.82.07"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  560.35.03  Release Build\n", "560.35.03"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release Build\n", "540.4.0"),
        ("something else\n", ""),
    ],
)
def test_the_drivers_version(text: str, version: str, tmp_path: Path) -> None:
    said = tmp_path / "version"
    assert driver_version(said) == ""
    said.write_text(text + "GCC version:  gcc version 12.3.0\n")
    assert driver_version(said) == version


class Cuda:
    """As much of the driver's library as is asked for, with one Orin."""

    def __init__(self, error: int = 0, count: int = 1) -> None:
        self._error, self._count = error, count

    def cuInit(self, flags: int) -> int:
        return self._error

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = self._count
        return 0

    def cuDeviceGet(self, handle: Any, index: int) -> int:
        return 0

    def cuDeviceGetName(self, name: Any, size: int, handle: Any) -> int:
        name.value = b"Orin"
        return 0

    def cuDriverGetVersion(self, version: Any) -> int:
        version._obj.value = 12060
        return 0

    def cuDeviceGetAttribute(self, value: Any, code: int, handle: Any) -> int:
        value._obj.value = {75: 8, 76: 7}[code]
        return 0


def test_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Cuda())
    monkeypatch.setattr(devices, "driver_version", lambda: "540.4.0")
    assert find_device() == Device("Orin", "8.7", "540.4.0", "12.6")
    assert find_device(1) is None


def test_no_gpu_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    for library in (missing, lambda name: Cuda(error=100), lambda name: Cuda(count=0)):
        monkeypatch.setattr(ctypes, "CDLL", library)
        assert find_device() is None
