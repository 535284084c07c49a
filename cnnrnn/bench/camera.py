"""A camera that gives so many frames a second: how old answers are, and how many frames go by unanswered."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cnnrnn.bench.summary import Summary, summarise


@dataclass(frozen=True)
class Camera:
    """What came of the frames.

    Attributes:
        frames_per_s: of the camera.
        answered, dropped: frames; of those that come while one is answered the newest alone is.
        age_ms: from the moment of a frame to its answer.
        deadline_ms: an answer that is older is late.
        in_time: the share of the answers that are not.
    """

    frames_per_s: float
    answered: int
    dropped: int
    age_ms: Summary
    deadline_ms: float
    in_time: float

    def to_dict(self) -> dict[str, Any]:
        """As the report's JSON has it."""
        return {
            "frames_per_s": self.frames_per_s,
            "answered": self.answered,
            "dropped": self.dropped,
            "age": self.age_ms.to_dict(),
            "deadline_ms": self.deadline_ms,
            "in_time": round(self.in_time, 4),
        }


def run_camera(
    answer: Callable[[bytes], object],
    pictures: Sequence[bytes],
    *,
    frames_per_s: float,
    seconds: float,
    deadline_ms: float,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> Camera:
    """Answer the newest frame, then the newest after that, as a robot would.

    Args:
        answer: takes an encoded frame; what it returns is not looked at.
        pictures: the frames, one after the other, again and again.
        frames_per_s: frame n comes after n / frames_per_s seconds.
        seconds: after which no frame is taken.
        deadline_ms: how old an answer may be.
        clock, sleep: for tests.
    """
    began = clock()
    ages_ms: list[float] = []
    dropped, last = 0, -1
    while True:
        newest = math.floor((clock() - began) * frames_per_s)
        if newest == last:
            sleep(max(0.0, began + (last + 1) / frames_per_s - clock()))
            continue
        if newest / frames_per_s >= seconds:
            break
        dropped += newest - last - 1
        last = newest
        answer(pictures[newest % len(pictures)])
        ages_ms.append(1000 * (clock() - began - newest / frames_per_s))
    in_time = sum(age <= deadline_ms for age in ages_ms) / len(ages_ms)
    return Camera(frames_per_s, len(ages_ms), dropped, summarise(ages_ms), deadline_ms, in_time)
