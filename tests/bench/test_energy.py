"""Energy by RAPL's counters and a Jetson's rails, over folders made as the kernel has them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from cnnrnn.bench.energy import Meter


def zone(folder: Path, name: str, microjoules: int, most: int = 10_000_000) -> Path:
    made = folder / name
    made.mkdir(parents=True)
    (made / "name").write_text("package-0\n")
    (made / "energy_uj").write_text(f"{microjoules}\n")
    (made / "max_energy_range_uj").write_text(f"{most}\n")
    return made


def test_a_packages_counter_and_its_new_beginning(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", 9_000_000)
    zone(tmp_path, "intel-rapl:0:0", 5)  # a part of the package, which is in it already
    meter = Meter(rapl=tmp_path, hwmon=tmp_path / "none")
    meter.start()
    (package / "energy_uj").write_text("9500000")
    assert meter.stop() == {"package-0": pytest.approx(0.5)}
    meter.start()
    (package / "energy_uj").write_text("1000000")
    assert meter.stop() == {"package-0": pytest.approx(1.5)}


def test_a_counter_that_may_not_be_read_is_left_out(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", 1)
    (package / "energy_uj").unlink()
    meter = Meter(rapl=tmp_path, hwmon=tmp_path)
    meter.start()
    assert meter.stop() == {}


def test_a_jetsons_rails(tmp_path: Path) -> None:
    monitor = tmp_path / "hwmon3"
    monitor.mkdir()
    (monitor / "name").write_text("ina3221\n")
    (monitor / "in1_label").write_text("VDD_IN\n")
    (monitor / "in1_input").write_text("5000\n")
    (monitor / "curr1_input").write_text("2000\n")
    (tmp_path / "hwmon0").mkdir()
    (tmp_path / "hwmon0" / "name").write_text("coretemp\n")
    meter = Meter(rapl=tmp_path, hwmon=tmp_path)
    began = time.perf_counter()
    meter.start()
    time.sleep(0.3)
    joules = meter.stop()["VDD_IN"]
    assert 0.5 < joules <= 10 * (time.perf_counter() - began)  # ten watts
