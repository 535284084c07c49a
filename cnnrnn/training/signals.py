"""SIGTERM and Ctrl-C ask a run to stop; asked twice, it ends at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

ASKING = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """While this is open, the first such signal is kept in ``asked``; the next does what it did before.

    The handlers that were there are put back by the first signal, and when this is closed. Outside of the
    main thread, where Python takes no handlers, nothing is caught.

    Attributes:
        asked: the signal's name, or empty.
    """

    def __init__(self) -> None:
        self.asked = ""
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._ask) for number in ASKING}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._put_back()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        # Nothing is logged here: the signal may have come in the middle of a line on standard error.
        self.asked = signal.Signals(number).name
        self._put_back()

    def _put_back(self) -> None:
        for number, handler in self._before.items():
            # None stands for a handler that was not made by Python, which cannot be put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # type: ignore[arg-type]
        self._before = {}


def outlive_signals(_: int) -> None:
    """In a process that reads pictures: the run may have batches to finish.

    Ctrl-C reaches all of a terminal's processes, and ``torchrun`` and service managers send SIGTERM to all
    of a run's. The first SIGTERM is let pass, as in the run itself; the second ends this process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _once)


def _once(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
