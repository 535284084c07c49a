"""Milliseconds by stage, on the monotonic clock."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager


class Clock:
    """Adds up the wall-clock time of named stages; one belongs to one call and one thread.

    Args:
        before_ms: what had passed of the call when the clock was made, for a deadline.
    """

    def __init__(self, before_ms: float = 0.0) -> None:
        self._started = time.perf_counter()
        self.before_ms = before_ms
        self.stages_ms: dict[str, float] = {}

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Add the block's time to the stage ``name``, also when it raises."""
        return _Stage(self, name)

    def add(self, name: str, milliseconds: float) -> None:
        """Add a time measured elsewhere."""
        self.stages_ms[name] = self.stages_ms.get(name, 0.0) + milliseconds

    @property
    def total_ms(self) -> float:
        """Milliseconds since the clock was made."""
        return (time.perf_counter() - self._started) * 1e3


class _Stage(AbstractContextManager[None]):
    """A class, since a generator takes microseconds more, twice in each step."""

    __slots__ = ("_clock", "_name", "_started")

    def __init__(self, clock: Clock, name: str) -> None:
        self._clock, self._name = clock, name

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self._clock.add(self._name, (time.perf_counter() - self._started) * 1e3)
