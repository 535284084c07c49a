"""Milliseconds by stage, on the monotonic clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Adds up the wall-clock time of named stages; one belongs to one call and one thread."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self.stages_ms: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the block's time to the stage ``name``, also when it raises."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, (time.perf_counter() - started) * 1e3)

    def add(self, name: str, milliseconds: float) -> None:
        """Add a time measured elsewhere."""
        self.stages_ms[name] = self.stages_ms.get(name, 0.0) + milliseconds

    @property
    def total_ms(self) -> float:
        """Milliseconds since the clock was made."""
        return (time.perf_counter() - self._started) * 1e3
