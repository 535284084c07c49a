"""The decoding loop on a device: from the first step to the last the host only launches, and it waits once.

There are three ways, and all say the same. ``while``: one graph, whose loop a kernel ends. ``replay``: a
graph of two steps, launched until a flag that is copied asynchronously says stop. ``launch``: the same
without a graph.

Every step reads the tensors of one turn and writes those of the other, so that nothing is copied between
steps. What a step chose is a row of the history. Steps beyond the last change no row (`loop_kernels`), which
is why the second turn of a loop may come too many, and why the host may launch ahead of the flag.

Letters: B images, K beams, T steps.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from cnnrnn.core.errors import CnnrnnError, DeviceError
from cnnrnn.runtime.device.arena import TensorPlace
from cnnrnn.runtime.device.loop_kernels import KEEP_BLOCK, SOURCE
from cnnrnn.runtime.device.loop_memory import LoopMemory, LoopTensors
from cnnrnn.runtime.device.protocol import Capture, Condition, Device, Event, PinnedBuffer, Queue, Stream

Way = Literal["while", "replay", "launch"]
WAYS: tuple[Way, ...] = ("while", "replay", "launch")

# Pairs of steps that may be launched before the flag of the first of them is asked for.
_AHEAD = 2
_WORD_BYTES = 4
_POLL_S = 20e-6


class Engines(Protocol):
    """The decoder step and the select graph, as engines with addresses."""

    def bind(self, turn: int, tensors: Mapping[str, TensorPlace]) -> None:
        """Take the addresses of one turn, 0 or 1, by the graphs' own names of their tensors."""
        ...

    def enqueue(self, stream: int, turn: int) -> None:
        """Queue one step and one select on the stream of this handle, which may be captured.

        Raises:
            BackendError: an engine refused.
        """
        ...


@dataclass(frozen=True)
class Rows:
    """What the steps of a search left behind, on the host: T rows by the tensors' names, (T, B, ...)."""

    rows: Mapping[str, NDArray[Any]]
    steps: int


def choose(device: Device, way: str = "auto") -> Way:
    """The best way that a device has, or the one that is asked for.

    Raises:
        DeviceError: it does not have that one.
    """
    able: dict[Way, bool] = {"while": device.info.loops, "replay": device.info.captures, "launch": True}
    for name in WAYS:
        if able[name] and way in ("auto", name):
            return name
    cuda = ".".join(map(str, device.info.driver_cuda))
    raise DeviceError(
        f"loop={way!r} cannot be had on {device.info.name} with a driver of CUDA {cuda}; it has "
        f"{', '.join(name for name in WAYS if able[name])}, and 'auto' takes the first of them"
    )


class DeviceLoop:
    """One search at a time in buffers that are allocated once; for one thread.

    Args:
        stream: everything is queued on it; the caller closes it after this.
        tensors: what a step reads and writes.
        engines: are bound here, to both turns.
        way: see the module.

    Raises:
        DeviceMemoryError: the buffers do not fit.
        DeviceError: no such way on this device.
    """

    def __init__(
        self, device: Device, stream: Stream, tensors: LoopTensors, engines: Engines, way: str = "auto"
    ) -> None:
        self.way = choose(device, way)
        self._stream, self._engines, self._limit = stream, engines, tensors.limit
        self._keep, self._advance, self._go_on = (
            device.kernel(SOURCE, name) for name in ("keep", "advance", "go_on")
        )
        with ExitStack() as opened:
            self._memory = opened.enter_context(LoopMemory(device, stream, tensors))
            for turn in range(2):
                engines.bind(turn, self._memory.places(turn))
            self._flags: list[tuple[PinnedBuffer, Event]] = [
                (
                    opened.enter_context(device.pinned(2 * _WORD_BYTES, what="stop flag")),
                    opened.enter_context(device.event()),
                )
                for _ in range(_AHEAD if self.way != "while" else 0)
            ]
            self._graph = None
            if self.way != "launch":
                self._graph = opened.enter_context(stream.capture(self._record))
            self._opened = opened.pop_all()

    def run(self, arrays: Mapping[str, NDArray[Any]], deadline_ms: float | None = None) -> Rows:
        """Search from these tensors, by name: those of the first step, and those that stay the same.

        Args:
            deadline_ms: from now; the step that is running then is the last.

        Raises:
            DeviceError: the device failed.
        """
        late_at = None if deadline_ms is None else time.perf_counter() + deadline_ms / 1000
        try:
            return self._searched(arrays, late_at)
        except BaseException:
            with suppress(CnnrnnError):  # what is queued uses the host's copies, which the next search writes
                self._stream.synchronize()
            raise

    def _searched(self, arrays: Mapping[str, NDArray[Any]], late_at: float | None) -> Rows:
        memory, stream = self._memory, self._stream
        memory.load(arrays)
        if self.way == "while":
            assert self._graph is not None
            self._graph.launch(stream)
        else:
            self._launch_ahead(late_at)
        memory.fetch()
        if late_at is not None and self.way == "while":
            self._watch(late_at)
        stream.synchronize()
        return Rows(*memory.found())

    def close(self) -> None:
        """Give the buffers and the graph back; the engines must not be used with them any more."""
        self._opened.close()

    def _turn(self, queue: Queue, turn: int) -> None:
        """One step: the engines, and the kernels behind them."""
        self._engines.enqueue(queue.handle, turn)
        memory = self._memory
        row = memory.rows[1 - turn]
        words = row.size_bytes // _WORD_BYTES
        queue.launch(
            self._keep, memory.history, row, np.int32(words), memory.progress,
            grid=-(-words // KEEP_BLOCK), block=KEEP_BLOCK,
        )  # fmt: skip
        queue.launch(self._advance, memory.progress, memory.all_done, memory.late, np.int32(self._limit))

    def _pair(self, queue: Queue) -> None:
        for turn in range(2):
            self._turn(queue, turn)

    def _record(self, capture: Capture) -> None:
        def body(inner: Capture, condition: Condition) -> None:
            self._pair(inner)
            inner.launch(self._go_on, condition, self._memory.progress)

        capture.uses(*self._memory.device_buffers)
        if self.way == "while":
            capture.repeat(body)
        else:
            self._pair(capture)

    def _launch_ahead(self, late_at: float | None) -> None:
        """Launch pairs of steps until a flag says that those behind it were too many."""
        stream = self._stream
        for pair in range(-(-self._limit // 2)):
            flag, copied = self._flags[pair % _AHEAD]
            if pair >= _AHEAD:
                while not copied.reached:
                    self._tell_if_late(late_at)
                    time.sleep(_POLL_S)
                if flag.array(np.int32, (2,))[1]:
                    return
            self._tell_if_late(late_at)
            if self._graph is None:
                self._pair(stream)
            else:
                self._graph.launch(stream)
            stream.copy(flag, self._memory.progress)
            stream.record(copied)

    def _watch(self, late_at: float) -> None:
        """Until the search is through, or the deadline: the flag that the loop reads is the host's to set."""
        while not self._memory.fetched.reached:
            if self._tell_if_late(late_at):
                return
            time.sleep(_POLL_S)

    def _tell_if_late(self, late_at: float | None) -> bool:
        late = late_at is not None and time.perf_counter() >= late_at
        if late:
            self._memory.late.array(np.int32, (1,))[0] = 1
        return late
