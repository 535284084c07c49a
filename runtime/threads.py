"""How many threads a CPU backend should use: one per physical core that this process may run on."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CPU_FOLDER = Path("/sys/devices/system/cpu")
_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def physical_cores() -> int:
    """Physical cores within this process's affinity and its container's CPU quota, at least 1.

    Two hardware threads of one core share its vector units, so a second thread on it gains nothing in
    matrix products. Where the topology cannot be read (not Linux), every logical core counts.
    """
    if not hasattr(os, "sched_getaffinity"):
        return max(1, os.cpu_count() or 1)
    allowed = os.sched_getaffinity(0)
    cores = {_siblings(cpu) for cpu in allowed}
    return max(1, min(len(cores), _quota() or len(cores)))


def _siblings(cpu: int) -> str:
    """The hardware threads that share this one's core, as the kernel writes them ("0,64")."""
    try:
        return (_CPU_FOLDER / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text().strip()
    except OSError:
        return str(cpu)


def _quota() -> int | None:
    """Whole CPUs that the control group grants, rounded up; None where it sets no limit."""
    try:
        quota, period = _CPU_QUOTA.read_text().split()[:2]
        return None if quota == "max" else max(1, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        return None
