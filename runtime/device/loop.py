"""The decoding loop on a device: from the first step to the last the host only launches, and it waits once.

There are three ways, and all say the same. ``while``: one graph, whose loop a kernel ends. ``replay``: a
graph of two steps, launched until a flag that the device writes says stop. ``launch``: the same without a
graph.

Every step reads the tensors of one turn and writes those of the other, so that nothing is copied between
steps. What a step chose is a row of the history. Steps beyond the last change no row (`loop_kernels`), which
is why the second turn of a loop may come too many, and why the host may launch ahead of the flag.

Letters: B images, K beams, T steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Literal

import numpy as np

from cnnrnn.core.errors import DeviceError, OptionsError
from cnnrnn.runtime.device.engines import Context
from cnnrnn.runtime.device.loop_kernels import BLOCK, SOURCE, WHILE_SOURCE
from cnnrnn.runtime.device.loop_memory import WORD_BYTES, LoopMemory
from cnnrnn.runtime.device.protocol import Capture, Condition, Device, Event, Graph, Queue, Stream

Way = Literal["while", "replay", "launch"]
WAYS: tuple[Way, ...] = ("while", "replay", "launch")

# Pairs of steps that may be launched before the flag of the first of them is asked for.
_AHEAD = 2
_POLL_S = 20e-6


def check_way(way: str) -> None:
    """Refuse an unknown way to loop.

    Raises:
        OptionsError: naming those there are.
    """
    if way not in ("auto", *WAYS):
        raise OptionsError(f"loop={way!r} is unknown; give 'auto', {', '.join(map(repr, WAYS))}")


def choose(device: Device, way: str = "auto", *, captures: bool = True) -> Way:
    """The best way that a device has, or the one that is asked for.

    Args:
        captures: whether the engines can be captured.

    Raises:
        OptionsError: no such way.
        DeviceError: the device, or the engines, do not have that one.
    """
    check_way(way)
    able: dict[Way, bool] = {
        "while": device.info.loops and captures,
        "replay": device.info.captures and captures,
        "launch": True,
    }
    for name in WAYS:
        if able[name] and way in ("auto", name):
            return name
    cuda = ".".join(map(str, device.info.driver_cuda))
    why = f"on {device.info.name} with a driver of CUDA {cuda}" if captures else "with these engines"
    raise DeviceError(
        f"loop={way!r} cannot be had {why}; there is {', '.join(name for name in WAYS if able[name])}, and "
        "'auto' takes the first of them"
    )


class DeviceLoop:
    """The steps of one search at a time, in buffers that are allocated once; for one thread.

    Args:
        stream: everything is queued on it; the caller closes it after this.
        memory: the buffers, which the caller closes after this.
        turns: the step's and the select graph's contexts for each of the two turns.
        way: one that `choose` gave.
        ended: is put behind the last step.

    Attributes:
        counters: the stream's when the last step was queued, with what the graph itself did.
    """

    def __init__(
        self,
        device: Device,
        stream: Stream,
        memory: LoopMemory,
        turns: tuple[tuple[Context, Context], tuple[Context, Context]],
        way: Way,
        ended: Event,
    ) -> None:
        self.way: Way = way
        self.counters = stream.counters.snapshot()
        self._stream, self._memory, self._turns, self._ended = stream, memory, turns, ended
        self._go_on = device.kernel(WHILE_SOURCE, "go_on") if way == "while" else None
        self._keep, self._tell, self._advance = (
            device.kernel(SOURCE, name) for name in ("keep", "tell", "advance")
        )
        self._graphs: dict[bool, Graph] = {}
        self._late_at: float | None = None
        self._pairs, self._steps, self._streams = 0, 0, False
        with ExitStack() as opened:
            self._launched: list[Event] = [
                opened.enter_context(device.event()) for _ in range(_AHEAD if way != "while" else 0)
            ]
            self._opened = opened.pop_all()

    def ready(self, streams: bool = False) -> None:
        """Make what the first search would make, so that it takes no longer than the next.

        Args:
            streams: for searches that tell the host of each step.
        """
        if self.way != "launch" and streams not in self._graphs:
            self._graphs[streams] = self._opened.enter_context(
                self._stream.capture(lambda capture: self._record(capture, streams))
            )

    def once(self) -> None:
        """Queue a pair of steps, whatever the buffers hold."""
        self._pair(self._stream, False)

    def start(self, steps: int, late_at: float | None = None, *, streams: bool = False) -> None:
        """Queue the first steps of a search whose tensors are queued; all of them, where a graph loops.

        Args:
            steps: at most.
            late_at: on `time.perf_counter`; the step that is running then is the last.
            streams: tell the host of each step, for `LoopMemory.streamed`; made `ready` for.
        """
        self._late_at, self._streams, self._steps, self._pairs = late_at, streams, steps, 0
        if self.way == "while":
            self._tell_if_late()
            self._graphs[streams].launch(self._stream)
            self._end()
        else:
            for _ in range(min(_AHEAD, -(-steps // 2))):
                self._launch_pair()

    def go_on(self) -> bool:
        """Do what there is to do for the host, without waiting; False once the search is through."""
        self._tell_if_late()
        if self.way == "while":
            return not self._memory.fetched.reached
        if not self._launched[self._pairs % _AHEAD].reached:
            return True
        if self._memory.count()[1]:
            return False
        if self._pairs < -(-self._steps // 2):
            self._launch_pair()
        else:  # all are launched, and the last is not through
            self._pairs += 1
        return True

    def finish(self) -> None:
        """Wait until the search is through, and the host has what it left behind."""
        if self.way == "while":
            if self._late_at is not None:
                self._until(lambda: self._tell_if_late() or self._memory.fetched.reached)
        else:
            self._until(lambda: not self.go_on())
            self._end()
        self._stream.synchronize()
        if self.way == "while":
            turns = -(-self._memory.count()[0] // 2)
            self.counters.add(self._graphs[self._streams].turn_counters, turns)

    def close(self) -> None:
        """Give the graphs back; the contexts must not be used with them any more."""
        self._graphs.clear()
        self._opened.close()

    def _end(self) -> None:
        """Queue what comes after the last step."""
        self.counters = self._stream.counters.snapshot()
        self._stream.record(self._ended)
        self._memory.fetch()

    def _turn(self, queue: Queue, turn: int, streams: bool) -> None:
        """One step: the engines, and the kernels behind them."""
        for context in self._turns[turn]:
            context.enqueue(queue.handle)
        memory = self._memory
        row, progress = memory.rows[1 - turn], memory.progress
        words = row.size_bytes // WORD_BYTES
        grid = -(-words // BLOCK)
        queue.launch(self._keep, memory.history, row, np.int32(words), progress, grid=grid, block=BLOCK)
        if streams:
            queue.launch(self._tell, memory.ring, row, np.int32(memory.streamed_words), progress, block=BLOCK)
        queue.launch(self._advance, progress, memory.all_done, memory.late, memory.told)

    def _pair(self, queue: Queue, streams: bool) -> None:
        for turn in range(2):
            self._turn(queue, turn, streams)

    def _record(self, capture: Capture, streams: bool) -> None:
        def body(inner: Capture, condition: Condition) -> None:
            self._pair(inner, streams)
            assert self._go_on is not None
            inner.launch(self._go_on, condition, self._memory.progress)

        capture.uses(*self._memory.device_buffers)
        if self.way == "while":
            capture.repeat(body)
        else:
            self._pair(capture, streams)

    def _launch_pair(self) -> None:
        if self.way == "replay":
            self._graphs[self._streams].launch(self._stream)
        else:
            self._pair(self._stream, self._streams)
        self._stream.record(self._launched[self._pairs % _AHEAD])
        self._pairs += 1

    def _until(self, over: Callable[[], bool]) -> None:
        while not over():
            time.sleep(_POLL_S)

    def _tell_if_late(self) -> bool:
        late = self._late_at is not None and time.perf_counter() >= self._late_at
        if late:
            self._memory.late.array(np.int32, (1,))[0] = 1
        return late
