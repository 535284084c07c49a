"""Captures of a stream, loops in them, and the graphs that they become."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnrnn.core.errors import ClosedError, DeviceError
from cnnrnn.runtime.device.closing import Closing
from cnnrnn.runtime.device.compiled import LoopCondition
from cnnrnn.runtime.device.counters import Counters
from cnnrnn.runtime.device.cuda_core.queue import CoreQueue
from cnnrnn.runtime.device.failures import Failures
from cnnrnn.runtime.device.memory import BaseMemory
from cnnrnn.runtime.device.protocol import Capture, Condition, Memory, Stream

# Another thread may allocate or wait as it likes; this one may not while it captures.
_MODE = "thread_local"


class CoreCapture(CoreQueue):
    """See `cnnrnn.runtime.device.protocol.Capture`.

    Attributes:
        kept: all memory that was used.
        turn_counters: of the loop in it.
    """

    def __init__(self, core: Any, failures: Failures, builder: Any, *, loops: bool) -> None:
        super().__init__(core, failures, builder, int(builder.stream.handle), "capture")
        self._loops = loops
        self.kept: dict[int, BaseMemory] = {}
        self.turn_counters = Counters()

    def uses(self, *memory: Memory) -> None:
        for taken in memory:
            self._taken(taken)

    def repeat(self, body: Callable[[Capture, Condition], None]) -> None:
        if not self._loops:
            raise DeviceError(
                "a loop in a graph needs a driver of CUDA 12.4 or newer, and cannot be in another loop; "
                "update the driver, or replay a graph of some steps"
            )
        with self._failures.told("making a loop in a graph"):
            raw_condition = self.raw.create_condition(default_value=1)
            builder = self.raw.while_loop(raw_condition)
        recorded = record(
            self._core,
            self._failures,
            builder,
            lambda inner: body(inner, LoopCondition(raw_condition)),
            loops=False,
        )
        try:
            self.kept |= recorded.kept
            self.turn_counters.add(recorded.counters)
        finally:
            with self._failures.releasing("ending a loop in a graph"):
                builder.close()

    def end(self) -> None:
        """What is queued from now on is an error."""
        self._raw = None

    def _note(self, memory: BaseMemory) -> None:
        self.kept[id(memory)] = memory


def record(
    core: Any, failures: Failures, builder: Any, work: Callable[[CoreCapture], None], *, loops: bool
) -> CoreCapture:
    """Capture what ``work`` queues; the builder has its graph afterwards, or is closed after an exception."""
    try:
        with failures.told("beginning a capture"):
            builder.begin_building(_MODE)
        capture = CoreCapture(core, failures, builder, loops=loops)
        try:
            work(capture)
        finally:
            capture.end()
        with failures.told("ending a capture"):
            builder.end_building()
    except BaseException:
        abandon(builder)
        raise
    return capture


def abandon(builder: Any) -> None:
    """Close a builder whatever state it is in; the error that led here is the one to be told."""
    for step in (lambda: builder.is_building and builder.end_building(), builder.close):
        try:
            step()
        except Exception:
            continue


class CoreGraph(Closing):
    """See `cnnrnn.runtime.device.protocol.Graph`."""

    def __init__(self, failures: Failures, raw: Any, capture: CoreCapture) -> None:
        self._failures, self._raw = failures, raw
        self._launched_on: CoreQueue | None = None
        self._kept = tuple(capture.kept.values())
        self.counters, self.turn_counters = capture.counters, capture.turn_counters
        for memory in self._kept:
            memory.graphs += 1

    def launch(self, stream: Stream) -> None:
        if self._raw is None:
            raise ClosedError("the graph was closed")
        if not isinstance(stream, CoreQueue):
            raise DeviceError(f"{stream!r} is no stream of this provider's")
        with self._failures.told("launching a graph"):
            self._raw.launch(stream.raw)
        self._launched_on = stream
        for memory in self._kept:
            if memory.pinned:
                memory.users.add(stream)
        stream.counters.add(self.counters)
        stream.counters.launches += 1

    def close(self) -> None:
        """Wait for the last launch, which is not counted, and give the graph back."""
        if self._raw is None:
            return
        raw, self._raw = self._raw, None
        for memory in self._kept:
            memory.graphs -= 1
        with self._failures.releasing("giving back a graph"):
            try:
                if self._launched_on is not None:
                    self._launched_on.drain()
            finally:
                raw.close()
