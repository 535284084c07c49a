"""Streams and events of pycuda."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnrnn.core.errors import ClosedError, DeviceError
from cnnrnn.runtime.device.closing import Closing
from cnnrnn.runtime.device.compiled import CompiledKernel
from cnnrnn.runtime.device.counters import Counters
from cnnrnn.runtime.device.failures import Failures
from cnnrnn.runtime.device.memory import BaseMemory
from cnnrnn.runtime.device.protocol import Capture, Event, Graph
from cnnrnn.runtime.device.pycuda.context import PrimaryContext
from cnnrnn.runtime.device.queue import BaseQueue


class PycudaMemory(BaseMemory):
    """Memory that pycuda took, which the driver gives back at once: its streams are waited for before."""


class PycudaKernel(CompiledKernel):
    """A `Function`, and the sizes of its arguments."""


class Function:
    """A function of pycuda's, which keeps its module loaded as long as it is there itself."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def __call__(self, *arguments: Any, **options: Any) -> None:
        if self._raw is None:
            raise ClosedError("the device was closed")
        self._raw(*arguments, **options)

    def let_go(self) -> Any:
        """What pycuda has of it, which is nobody else's then."""
        raw, self._raw = self._raw, None
        return raw


class PycudaEvent(Closing):
    """See `cnnrnn.runtime.device.protocol.Event`."""

    def __init__(self, context: PrimaryContext, failures: Failures, raw: Any) -> None:
        self._context, self._failures, self._raw = context, failures, raw
        self.counters: Counters | None = None  # of the stream that recorded it last

    @property
    def raw(self) -> Any:
        """The event of pycuda.

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
            return bool(raw.query())

    def synchronize(self) -> None:
        raw = self.raw
        if self.counters is not None:
            self.counters.synchronizes += 1
        with self._failures.told("waiting for an event"):
            raw.synchronize()

    def elapsed_ms(self, since: Event) -> float:
        first, last = _own(since).raw, self.raw
        with self._failures.told("taking the time between two events"):
            return float(last.time_since(first))

    def close(self) -> None:
        """Give the event back; what waits for it still does."""
        if self._raw is None:
            return
        held, self._raw = [self._raw], None
        with self._context.releasing("giving back an event", held):
            held.clear()


class PycudaStream(BaseQueue, Closing):
    """See `cnnrnn.runtime.device.protocol.Stream`.

    Args:
        driver: the module ``pycuda.driver``.
        raw: its stream.
    """

    memory_type = PycudaMemory
    kernel_type = PycudaKernel

    def __init__(self, driver: Any, context: PrimaryContext, failures: Failures, raw: Any) -> None:
        super().__init__(failures, raw, int(raw.handle), "stream")
        self._driver, self._context = driver, context

    def record(self, event: Event) -> None:
        marked, raw = _own(event), self.raw
        with self._failures.told("recording an event"):
            marked.raw.record(raw)
        marked.counters = self.counters

    def wait(self, event: Event) -> None:
        marked, raw = _own(event), self.raw
        with self._failures.told("letting a stream wait for an event"):
            raw.wait_for_event(marked.raw)

    def capture(self, work: Callable[[Capture], None]) -> Graph:
        """Refused.

        Raises:
            DeviceError: pycuda has no capture.
        """
        raise DeviceError(
            "pycuda captures no streams: launch without a graph, or take the provider 'cuda-core' "
            "(pip install 'cnnrnn[cuda13]', or [cuda12])"
        )

    def synchronize(self) -> None:
        raw = self.raw
        self.counters.synchronizes += 1
        with self._failures.told("waiting for a stream"):
            raw.synchronize()

    def drain(self) -> None:
        if self._raw is not None:
            with self._context.releasing("waiting for a stream"):
                self._raw.synchronize()

    def close(self) -> None:
        """Wait for what is queued, which is not counted, and give the stream back."""
        if self._raw is None:
            return
        held = [self._raw]
        with self._context.releasing("giving back a stream", held):
            try:
                self.drain()
            finally:
                self._raw = None
                held.clear()

    def _copy(self, raw: Any, target: Any, source: Any) -> None:
        if target.pinned and source.pinned:
            raise DeviceError(f"copying {source} into {target}: pycuda queues no copy from host to host")
        if source.pinned:
            self._driver.memcpy_htod_async(target.address, source.raw, raw)
        elif target.pinned:
            self._driver.memcpy_dtoh_async(target.raw, source.address, raw)
        else:
            self._driver.memcpy_dtod_async(target.address, source.address, source.size_bytes, raw)

    def _fill(self, raw: Any, target: Any, byte: int) -> None:
        self._driver.memset_d8_async(target.address, byte, target.size_bytes, raw)

    def _launch(self, raw: Any, kernel: CompiledKernel, arguments: list[Any], shape: tuple[int, int]) -> None:
        grid, block = shape
        kernel.raw(*arguments, grid=(grid, 1, 1), block=(block, 1, 1), stream=raw)

    def _note(self, memory: BaseMemory) -> None:
        memory.users.add(self)


def _own(event: Event) -> PycudaEvent:
    if not isinstance(event, PycudaEvent):
        raise DeviceError(f"{event!r} is no event of this provider's")
    return event
