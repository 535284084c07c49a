"""Energy that a run took, where the machine tells: Intel's and AMD's RAPL counters, and a Jetson's rails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

RAPL = Path("/sys/class/powercap")
HWMON = Path("/sys/class/hwmon")
_SAMPLE_S = 0.02


@dataclass
class Meter:
    """Joules between `start` and `stop`, of each counter that can be read.

    RAPL counts microjoules itself, and begins anew at ``max_energy_range_uj``. A Jetson's INA3221 says volts
    and amperes of a rail now, and is asked fifty times a second.
    """

    rapl: Path = RAPL
    hwmon: Path = HWMON
    _before: dict[str, int] = field(default_factory=dict)
    _joules: dict[str, float] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to count."""
        self._before = {zone.name: _microjoules(zone) for zone in _zones(self.rapl)}
        rails = _rails(self.hwmon)
        self._joules = dict.fromkeys(rails, 0.0)
        self._stop.clear()
        if rails:
            self._thread = threading.Thread(target=self._sample, args=(rails,), daemon=True)
            self._thread.start()

    def stop(self) -> dict[str, float]:
        """Joules by counter; empty where the machine tells none."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        found = dict(self._joules)
        for zone in _zones(self.rapl):
            if zone.name in self._before:
                passed = _microjoules(zone) - self._before[zone.name]
                if passed < 0:
                    passed += int((zone / "max_energy_range_uj").read_text())
                found[(zone / "name").read_text().strip()] = passed / 1e6
        return found

    def _sample(self, rails: dict[str, Callable[[], float]]) -> None:
        last = time.perf_counter()
        while not self._stop.wait(_SAMPLE_S):
            now = time.perf_counter()
            for name, watts in rails.items():
                self._joules[name] += watts() * (now - last)
            last = now


def _zones(rapl: Path) -> list[Path]:
    """The packages' counters that this user may read."""
    found = []
    for zone in sorted(rapl.glob("*-rapl:[0-9]*")):
        if zone.name.count(":") == 1:  # a package, not a part of one
            try:
                _microjoules(zone)
            except (OSError, ValueError):
                continue
            found.append(zone)
    return found


def _microjoules(zone: Path) -> int:
    return int((zone / "energy_uj").read_text())


def _rails(hwmon: Path) -> dict[str, Callable[[], float]]:
    """What each rail of an INA3221 takes now, watts."""
    found: dict[str, Callable[[], float]] = {}
    for monitor in sorted(hwmon.glob("hwmon*")):
        try:
            if (monitor / "name").read_text().strip() != "ina3221":
                continue
        except OSError:
            continue
        for label in sorted(monitor.glob("in[1-3]_label")):
            number = label.name[2]
            volts, amperes = monitor / f"in{number}_input", monitor / f"curr{number}_input"
            if volts.is_file() and amperes.is_file():
                found[label.read_text().strip()] = _watts(volts, amperes)
    return found


def _watts(millivolts: Path, milliamperes: Path) -> Callable[[], float]:
    return lambda: int(millivolts.read_text()) * int(milliamperes.read_text()) / 1e6
