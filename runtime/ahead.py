"""Begin the next before the last one's end is waited for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

Begun = TypeVar("Begun")


def in_order(
    beginnings: Iterable[Callable[[], Begun]], ahead: int, drop: Callable[[Begun], object]
) -> Generator[Begun, None, None]:
    """Call each, and give what it began, in order, once ``ahead`` more have begun.

    Args:
        drop: gets what had begun and was not given, if nobody asks for it or a beginning raises; called by
            whatever runs just then.
    """
    waiting: deque[Begun] = deque()
    try:
        for begin in beginnings:
            waiting.append(begin())
            if len(waiting) > ahead:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        for begun in waiting:
            drop(begun)
