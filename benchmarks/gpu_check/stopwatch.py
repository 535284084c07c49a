"""Percentiles of times that are taken again and again, for as long as there is time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

WARM_UP = 10


def percentiles(values_ms: list[float]) -> dict[str, float]:
    """``p50``, ``p90`` and ``p99``, and ``n``, of how many."""
    points = np.percentile(values_ms, (50, 90, 99))
    named = zip(("p50", "p90", "p99"), (round(float(point), 4) for point in points), strict=True)
    return {**dict(named), "n": len(values_ms)}


def repeated(
    work: Callable[[], Mapping[str, float]], repetitions: int, most_s: float, warm_up: int = WARM_UP
) -> dict[str, dict[str, float]]:
    """Call it ``repetitions`` times, or for ``most_s`` seconds; the percentiles of each time that it gives.

    Args:
        work: gives milliseconds by stage.
        warm_up: calls before, which do not count.
    """
    for _ in range(min(warm_up, repetitions)):
        work()
    taken: dict[str, list[float]] = {}
    started = time.monotonic()
    for done in range(repetitions):
        if done and time.monotonic() - started > most_s:
            break
        for stage, value in work().items():
            taken.setdefault(stage, []).append(value)
    return {stage: percentiles(values) for stage, values in taken.items()}


class Deadline:
    """So many seconds from now."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """Until then."""
        return self._at - time.monotonic()


def sizes(batches: tuple[int, ...], beams: tuple[int, ...]) -> list[tuple[int, int]]:
    """(batch, beams) in the order of what matters: five beams first, larger batches last."""
    order: dict[int, Any] = {5: 0}
    return [
        (batch, width)
        for batch in batches
        for width in sorted(beams, key=lambda width: order.get(width, width))
    ]
