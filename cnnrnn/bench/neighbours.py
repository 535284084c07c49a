"""What else the processors did meanwhile: the kernel's counters before and after a run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

STAT = Path("/proc/stat")
# Of the first line of /proc/stat (proc(5)), counted from 0 behind its name.
_IDLE, _IOWAIT, _STEAL, _FIELDS = 3, 4, 7, 8


@dataclass(frozen=True)
class Counters:
    """Processor seconds since some beginning, over all processors.

    Attributes:
        total: passed, idle ones included.
        busy: in which a processor worked.
        stolen: that the hypervisor gave to others.
        own: of this process and those that it has waited for.
    """

    total: float
    busy: float
    stolen: float
    own: float

    @staticmethod
    def read(stat: Path = STAT) -> Counters | None:
        """The counters now; None where the kernel has none."""
        try:
            head, *fields = stat.read_text(encoding="ascii").partition("\n")[0].split()
            ticks = [int(field) for field in fields[:_FIELDS]]
        except (OSError, ValueError):
            return None
        if head != "cpu" or len(ticks) < _FIELDS:
            return None
        seconds = [tick / os.sysconf("SC_CLK_TCK") for tick in ticks]
        idle = seconds[_IDLE] + seconds[_IOWAIT]
        stolen = seconds[_STEAL]
        times = os.times()
        own = times.user + times.system + times.children_user + times.children_system
        return Counters(sum(seconds), sum(seconds) - idle - stolen, stolen, own)


def shares(before: Counters | None, after: Counters | None) -> tuple[float | None, float | None]:
    """The shares of all processor time that other processes, and other machines, had between the two."""
    if before is None or after is None or after.total <= before.total:
        return None, None
    passed = after.total - before.total
    foreign = (after.busy - before.busy) - (after.own - before.own)
    return max(0.0, foreign / passed), max(0.0, (after.stolen - before.stolen) / passed)
