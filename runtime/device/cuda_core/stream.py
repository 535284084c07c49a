"""Streams and events."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from cnnrnn.core.errors import ClosedError, DeviceError
from cnnrnn.runtime.device.closing import Closing
from cnnrnn.runtime.device.counters import Counters
from cnnrnn.runtime.device.cuda_core.graph import CoreGraph, abandon, record
from cnnrnn.runtime.device.cuda_core.queue import CoreQueue
from cnnrnn.runtime.device.failures import Failures
from cnnrnn.runtime.device.protocol import Capture, DeviceInfo, Event
from cnnrnn.runtime.engine.device import LIBRARY


class CoreEvent(Closing):
    """See `cnnrnn.runtime.device.protocol.Event`."""

    def __init__(self, failures: Failures, raw: Any) -> None:
        self._failures, self._raw = failures, raw
        self.counters: Counters | None = None  # of the stream that recorded it last

    @property
    def raw(self) -> Any:
        """The event of ``cuda.core``.

        Raises:
            ClosedError: it was closed.
        """
        if self._raw is None:
            raise ClosedError("the event was closed")
        return self._raw

    @property
    def reached(self) -> bool:
        raw = self.raw
        with self._failures.told("asking for an event"):
            return bool(raw.is_done)

    def synchronize(self) -> None:
        raw = self.raw
        if self.counters is not None:
            self.counters.synchronizes += 1
        with self._failures.told("waiting for an event"):
            raw.sync()

    def elapsed_ms(self, since: Event) -> float:
        if not isinstance(since, CoreEvent):
            raise DeviceError(f"{since!r} is no event of this provider's")
        with self._failures.told("taking the time between two events"):
            try:
                return float(self.raw - since.raw)
            except Exception as error:  # cuda.core has no class of its own for it
                if type(error).__name__ != "FunctionNotFoundError":
                    raise
            return _elapsed_ms(int(since.raw.handle), int(self.raw.handle))

    def close(self) -> None:
        """Give the event back; what waits for it still does."""
        if self._raw is None:
            return
        raw, self._raw = self._raw, None
        with self._failures.releasing("giving back an event"):
            raw.close()


class CoreStream(CoreQueue, Closing):
    """See `cnnrnn.runtime.device.protocol.Stream`."""

    def __init__(self, core: Any, failures: Failures, raw: Any, info: DeviceInfo) -> None:
        super().__init__(core, failures, raw, int(raw.handle), "stream")
        self._info = info

    def record(self, event: Event) -> None:
        marked = _own(event)
        with self._failures.told("recording an event"):
            self.raw.record(marked.raw)
        marked.counters = self.counters

    def wait(self, event: Event) -> None:
        marked = _own(event)
        with self._failures.told("letting a stream wait for an event"):
            self.raw.wait(marked.raw)

    def capture(self, work: Callable[[Capture], None]) -> CoreGraph:
        if not self._info.captures:
            raise DeviceError(
                "a capture needs a driver of CUDA 12.3 or newer, and this one is of "
                f"{'.'.join(map(str, self._info.driver_cuda))}; update it, or launch without a graph"
            )
        with self._failures.told("beginning a capture"):
            builder = self.raw.create_graph_builder()
        recorded = record(self._core, self._failures, builder, work, loops=self._info.loops)
        try:
            with self._failures.told("making a graph of a capture"):
                return CoreGraph(self._failures, builder.complete(), recorded)
        finally:
            abandon(builder)

    def synchronize(self) -> None:
        raw = self.raw
        self.counters.synchronizes += 1
        with self._failures.told("waiting for a stream"):
            raw.sync()

    def close(self) -> None:
        """Wait for what is queued, which is not counted, and give the stream back."""
        if self._raw is None:
            return
        with self._failures.releasing("giving back a stream"):
            raw = self._raw
            try:
                self.drain()
            finally:
                self._raw = None
                raw.close()


def _elapsed_ms(begin: int, end: int) -> float:
    """As a driver before CUDA 12.8 has it, which lacks the function that ``cuda.bindings`` 13 calls."""
    found = ctypes.c_float()
    ask = ctypes.CDLL(LIBRARY).cuEventElapsedTime
    error = ask(ctypes.byref(found), ctypes.c_void_p(begin), ctypes.c_void_p(end))
    if error:
        raise RuntimeError(f"cuEventElapsedTime gave error {error}")
    return found.value


def _own(event: Event) -> CoreEvent:
    if not isinstance(event, CoreEvent):
        raise DeviceError(f"{event!r} is no event of this provider's")
    return event
