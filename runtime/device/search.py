"""A search on a device, as the model sees it: begun, followed step by step or not, and its answer."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnrnn.core.errors import CnnrnnError
from cnnrnn.core.search import SearchOptions
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.device.session import Rows, Session
from cnnrnn.runtime.loop import DeviceTrace, History, Steps, steps_of

_POLL_S = 50e-6


class DeviceSearch:
    """See `cnnrnn.runtime.loop.Searching`. It has a session of its own, and gives it back when it is closed.

    Args:
        session: whose search is queued.
        images: how many of its pictures are asked for; the rest fill up the bucket.
        give_back: takes the session: with True where it can search again, with False where it cannot.
        current: the device's context for the thread.
        left: gets the search if nobody has it any more, to be closed where that may be done: not in the
            middle of a capture, as the garbage collector would.
        columns: as `History` has it.
    """

    def __init__(
        self,
        session: Session,
        images: int,
        options: SearchOptions,
        clock: Clock,
        give_back: Callable[[Session, bool], None],
        current: Callable[[], contextlib.AbstractContextManager[None]],
        left: Callable[[DeviceSearch], None],
        *,
        columns: bool = False,
    ) -> None:
        self._session: Session | None = session
        self._images, self._options, self._clock = images, options, clock
        self._give_back, self._current, self._left = give_back, current, left
        self._seen = 0
        self._columns = columns

    def advance(self) -> bool:
        """Wait for one more step; False when it was the last."""
        session = self._open()
        with self._guarded():
            while True:
                told, ended = session.count()
                if told > self._seen:
                    self._seen += 1
                    return not (ended and told == self._seen)
                if ended:
                    return False
                session.go_on()
                time.sleep(_POLL_S)

    def latest(self) -> Steps:
        """The last step alone."""
        streamed = self._open().streamed(self._seen - 1)
        return Steps(
            **steps_of(_first({name: array[None] for name, array in streamed.items()}, self._images))
        )

    def history(self) -> History:
        """Wait for the end, and give all that the steps left behind."""
        session = self._open()
        with self._guarded():
            rows = session.finish()
        self._give_back(session, True)
        self._session = None
        self._clock.add("encoder", rows.encoder_ms)
        self._clock.add("search", rows.search_ms)
        return _history(rows, session.way, self._images, self._options, self._columns)

    def close(self) -> None:
        """Give the session back, once the step that is running is through; nothing if that was done."""
        if self._session is None:
            return
        session, self._session = self._session, None
        ended = False
        with contextlib.suppress(CnnrnnError), self._current():
            session.stop()
            session.finish()
            ended = True
        self._give_back(session, ended)

    def abandon(self) -> None:
        """See `cnnrnn.runtime.loop.Searching.abandon`."""
        if self._session is not None:
            self._left(self)

    def _open(self) -> Session:
        assert self._session is not None, "the search is over"
        return self._session

    @contextlib.contextmanager
    def _guarded(self) -> Any:
        """Within the device's context; what fails ends the search, and its session."""
        try:
            with self._current():
                yield
        except BaseException:
            session, self._session = self._session, None
            if session is not None:
                self._give_back(session, False)
            raise


def _first(rows: dict[str, NDArray[Any]], images: int) -> dict[str, NDArray[Any]]:
    """Without the pictures that filled up the bucket; (T, B, ...) each."""
    return {name: array[:, :images] for name, array in rows.items()}


def _history(rows: Rows, way: str, images: int, options: SearchOptions, columns: bool) -> History:
    kept = _first(dict(rows.rows), images)
    done = kept["done"][-1][:, 0]
    return History(
        **steps_of(kept),
        done=done > 0,
        faults=np.maximum(done - 1, 0),
        alignments=kept.get("alignment"),
        options=options,
        device=DeviceTrace(way, rows.between, rows.counters),
        columns=columns,
    )
