"""What is said of repeated times: the least, percentiles, their spread, and whether they can be trusted."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# Of fewer repetitions the 99th percentile is the largest, or nearly so, and says nothing of one in a hundred.
LEAST_FOR_P99 = 30
# A run is noisy where half of its times are spread over more than this share of their median ...
MOST_SPREAD = 0.10
# ... or the medians of its first and its second half are further apart ...
MOST_DRIFT = 0.05
# ... or others had more than this share of the processor time, or the hypervisor took more than that one.
MOST_FOREIGN, MOST_STOLEN = 0.10, 0.02


@dataclass(frozen=True)
class Summary:
    """Of repeated times, milliseconds.

    Attributes:
        count: of them.
        minimum, p50, p90: the least, the median and the 90th percentile (linear between neighbours).
        p99: the 99th; None of fewer than `LEAST_FOR_P99`.
        spread: the distance of the quartiles over the median.
        drift: the distance of the medians of the first and the second half over the median.
    """

    count: int
    minimum: float
    p50: float
    p90: float
    p99: float | None
    spread: float
    drift: float

    def to_dict(self) -> dict[str, Any]:
        """As the report's JSON has it; times are rounded to tenths of a microsecond."""
        times = {name: getattr(self, name) for name in ("minimum", "p50", "p90", "p99")}
        rounded = {f"{name}_ms": None if time is None else round(time, 4) for name, time in times.items()}
        return {
            "count": self.count,
            **rounded,
            "spread": round(self.spread, 4),
            "drift": round(self.drift, 4),
        }


def summarise(times_ms: Sequence[float]) -> Summary:
    """The summary of at least one time, in the order in which they were taken."""
    ordered = sorted(times_ms)
    median = statistics.median(ordered)
    half = len(ordered) // 2
    halves = [statistics.median(part) for part in (times_ms[:half], times_ms[half:]) if part]
    return Summary(
        count=len(ordered),
        minimum=ordered[0],
        p50=median,
        p90=percentile(ordered, 0.90),
        p99=percentile(ordered, 0.99) if len(ordered) >= LEAST_FOR_P99 else None,
        spread=(percentile(ordered, 0.75) - percentile(ordered, 0.25)) / median if median else 0.0,
        drift=abs(halves[-1] - halves[0]) / median if median else 0.0,
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Of sorted numbers, linear between neighbours, as `numpy.percentile` has it."""
    place = (len(ordered) - 1) * share
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def doubts(total: Summary, foreign: float | None, stolen: float | None) -> list[str]:
    """Why a run is too noisy to trust; empty where it is not.

    Args:
        total: of the whole answers.
        foreign: the share of all processor time that other processes had meanwhile; None where unknown.
        stolen: the share that the hypervisor gave to other machines.
    """
    found = []
    if total.spread > MOST_SPREAD:
        found.append(f"half of the times lie in {total.spread:.0%} of the median, over {MOST_SPREAD:.0%}")
    if total.drift > MOST_DRIFT:
        found.append(f"the second half differs from the first by {total.drift:.0%}, over {MOST_DRIFT:.0%}")
    if foreign is not None and foreign > MOST_FOREIGN:
        found.append(f"other processes had {foreign:.0%} of the processors, over {MOST_FOREIGN:.0%}")
    if stolen is not None and stolen > MOST_STOLEN:
        found.append(f"the hypervisor took {stolen:.0%} of them, over {MOST_STOLEN:.0%}")
    return found
