"""How far a build is, by TensorRT's own progress monitor, and stopping it when asked to."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType, ModuleType
from typing import Any

# What a build calls now and then: how much is done, 0 to 1, and the name of what is being done.
Progress = Callable[[float, str], None]


@dataclass
class _Phase:
    parent: str | None
    steps: int
    done: int = 0


class Watch:
    """Adds up TensorRT's nested phases, and stops the build when the progress raises or Ctrl-C is pressed.

    An exception must not pass through TensorRT, so it is kept, the build is told to stop, and `reraise` gives
    it to the caller of the build afterwards.
    """

    def __init__(self, progress: Progress | None = None) -> None:
        self._progress = progress
        self._phases: dict[str, _Phase] = {}
        self._reached = 0.0
        self._error: BaseException | None = None

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """A phase begins."""
        self._phases[name] = _Phase(parent, max(steps, 1))

    def step(self, name: str, index: int) -> bool:
        """A step of a phase ended; False asks TensorRT to stop."""
        phase = self._phases.get(name)
        if phase is not None:
            phase.done = min(index + 1, phase.steps)
            self._say(name)
        return self._error is None

    def finish(self, name: str) -> None:
        """A phase ended, or was stopped."""
        self._phases.pop(name, None)

    def stop(self, error: BaseException) -> None:
        """Let the build end as soon as it can, with this error."""
        if self._error is None:
            self._error = error

    def reraise(self) -> None:
        """Raise what stopped the build, if anything did."""
        if self._error is not None:
            raise self._error

    def _say(self, name: str) -> None:
        """The part of the whole that is done; it never goes back, whatever a new phase makes of it."""
        if self._progress is None or self._error is not None:
            return
        self._reached = max(self._reached, self._share(name))
        try:
            self._progress(self._reached, name)
        except BaseException as error:  # whatever it is, it is raised again when TensorRT has returned
            self.stop(error)

    def _share(self, name: str) -> float:
        """How much of the outermost phase is done when this one is the innermost."""
        share = 0.0
        current: str | None = name
        for _ in range(len(self._phases)):
            phase = self._phases.get(current) if current is not None else None
            if phase is None:
                break
            share = min((phase.done + share) / phase.steps, 1.0)
            current = phase.parent
        return share


def monitor(module: ModuleType, watch: Watch) -> Any:
    """TensorRT's ``IProgressMonitor`` that tells a watch."""

    class Monitor(module.IProgressMonitor):  # type: ignore[name-defined]
        def __init__(self) -> None:
            module.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            watch.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return watch.step(phase_name, step)

        def phase_finish(self, phase_name: str) -> None:
            watch.finish(phase_name)

    return Monitor()


@contextlib.contextmanager
def stopped_by_ctrl_c(watch: Watch) -> Iterator[None]:
    """While the block runs, Ctrl-C stops the build instead of raising in the middle of TensorRT's callbacks.

    Python lets only the main thread listen; in any other the block simply runs.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        watch.stop(KeyboardInterrupt())

    before = signal.getsignal(signal.SIGINT)
    if not callable(before):  # ignored, or not Python's: then it is not ours to change
        yield
        return
    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
