"""What the decoding loop asks of a device: memory, copies, streams, events, kernels, graphs.

Each provider (`cnnrnn.runtime.device.cuda_core` is the first) has classes of these forms. A stream is always
an argument, nothing is done on a default stream, and nothing waits but `Stream.synchronize` and
`Event.synchronize`. What a call queues runs later: every buffer has to stay until the stream is through with
it.

Whatever is made here is closed by `close`, or at the end of a ``with`` block; to close twice does nothing.
Any method may raise `DeviceError`, which says what was tried, what the driver answered and what to do.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cnnrnn.runtime.device.counters import Counters

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class DeviceInfo:
    """One device.

    Attributes:
        ordinal: its number.
        name: ``"NVIDIA H100 80GB HBM3"``.
        compute_capability: (9, 0).
        driver_cuda: the newest CUDA that the driver runs, (13, 0).
        captures: whether streams can be captured into graphs.
        loops: whether a graph can hold a loop that the device ends: a provider and a driver that can.
        memory_bytes: of the whole device.
    """

    ordinal: int
    name: str
    compute_capability: tuple[int, int]
    driver_cuda: tuple[int, int]
    captures: bool
    loops: bool
    memory_bytes: int


class Closes(Protocol):
    """Something that holds a resource."""

    def close(self) -> None:
        """Give the resource back."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Memory(Protocol):
    """Some bytes that a stream can read and write.

    Attributes:
        address: on the device, for engines and kernels.
        size_bytes: as it was asked for.
        what: it is for, in messages.
    """

    @property
    def address(self) -> int: ...

    @property
    def size_bytes(self) -> int: ...

    @property
    def what(self) -> str: ...


class Buffer(Memory, Closes, Protocol):
    """Device memory; it is given back in the order of the stream that it was allocated on.

    While a graph that uses it is open, closing it is an error.
    """


class PinnedBuffer(Memory, Closes, Protocol):
    """Memory of the host that a device reads and writes by itself."""

    def array(self, dtype: Any, shape: tuple[int, ...]) -> NDArray[Any]:
        """The memory from its start, as an array of the host's; valid until `close`.

        What a stream does with it may come at any time until the host has waited for that stream.
        """
        ...


class Kernel(Protocol):
    """A compiled kernel; it stays with its device.

    Attributes:
        name: in the source.
    """

    @property
    def name(self) -> str: ...


class Condition(Protocol):
    """Whether a loop in a graph goes on: an argument of the kernel that says so.

    Attributes:
        raw: the provider's own; the kernel's parameter is a ``cudaGraphConditionalHandle``.
    """

    @property
    def raw(self) -> Any: ...


# What a kernel takes: a NumPy scalar of exactly its parameter's size, an address, or the condition of a loop.
Argument = Memory | Condition | np.generic


class Queue(Protocol):
    """What takes work: a stream, or a capture of one.

    Attributes:
        handle: ``cudaStream_t`` as a number, for what enqueues by itself (an engine).
        counters: of what this object queued; of a capture, what one launch of its graph will do.
    """

    counters: Counters

    @property
    def handle(self) -> int: ...

    def copy(self, target: Memory, source: Memory) -> None:
        """Queue a copy of all of the source into the target, of the same size."""
        ...

    def fill(self, target: Memory, byte: int) -> None:
        """Queue setting each byte of device memory."""
        ...

    def launch(self, kernel: Kernel, *arguments: Argument, grid: int = 1, block: int = 1) -> None:
        """Queue a kernel on ``grid`` blocks of ``block`` threads."""
        ...


class Capture(Queue, Protocol):
    """A stream that records what is queued on it, and runs nothing.

    To wait, to allocate or to free while it lasts is an error.
    """

    def uses(self, *memory: Memory) -> None:
        """Keep memory from being closed that an engine uses which was queued by its handle."""
        ...

    def repeat(self, body: Callable[[Capture, Condition], None]) -> None:
        """Record a loop: the body, again and again until a kernel in it sets the condition to 0.

        It runs at least once. What the body copies is counted in ``turn_counters`` of the graph.

        Raises:
            DeviceError: the driver cannot do this (`DeviceInfo.loops`).
        """
        ...


class Graph(Closes, Protocol):
    """What a capture recorded, with the addresses that it had.

    Two launches of one graph must be ordered: by one stream, or by an event. Closing it waits for the last.

    Attributes:
        counters: of one launch, without what is in a loop.
        turn_counters: of one turn of the loop in it.
    """

    counters: Counters
    turn_counters: Counters

    def launch(self, stream: Stream) -> None:
        """Queue the whole graph."""
        ...


class Event(Closes, Protocol):
    """A place in a stream, where `Stream.record` put it last."""

    @property
    def reached(self) -> bool:
        """Whether all before it is done, without waiting; also if it was never recorded."""
        ...

    def synchronize(self) -> None:
        """Wait until all before it is done; counted on the stream that recorded it."""
        ...

    def elapsed_ms(self, since: Event) -> float:
        """Milliseconds from another event to this one, both made with ``timing`` and reached."""
        ...


class Stream(Queue, Closes, Protocol):
    """Work that is done in the order in which it was queued. One thread at a time may queue on it.

    Closing it waits for what is queued.
    """

    def record(self, event: Event) -> None:
        """Put the event behind what was queued so far."""
        ...

    def wait(self, event: Event) -> None:
        """Let what is queued from now on wait for the event; the host does not wait."""
        ...

    def capture(self, work: Callable[[Capture], None]) -> Graph:
        """Record what ``work`` queues on the capture. An exception in it ends the capture and comes out."""
        ...

    def synchronize(self) -> None:
        """Wait until all that was queued is done."""
        ...


class Device(Closes, Protocol):
    """One GPU. Its methods, and those of what it makes, are called within `current`, in any thread."""

    @property
    def info(self) -> DeviceInfo: ...

    def current(self) -> AbstractContextManager[None]:
        """Make the device's context the thread's own; what was current before is so again afterwards."""
        ...

    def free_bytes(self) -> int:
        """Device memory that nobody has, other processes included."""
        ...

    def owner(self, address: int) -> int | None:
        """The number of the GPU in whose memory, or for whose use, an address is; None where the driver knows
        of none."""
        ...

    def order(self, first: int, then: int) -> None:
        """Let what the stream of one handle gets from now on wait for what that of another has so far.

        Args:
            first, then: handles, of any stream of the context, a caller's as well as this device's.

        Raises:
            DeviceError: one of them is no stream of this context.
        """
        ...

    def stream(self) -> Stream:
        """A new stream, which takes no part in the order of the default stream."""
        ...

    def event(self, *, timing: bool = False) -> Event:
        """A new event, with times if asked for."""
        ...

    def allocate(self, size_bytes: int, stream: Stream, *, what: str = "") -> Buffer:
        """Device memory, for use on this stream and on what waits for it; its bytes are anything.

        Args:
            what: it is for: the bucket and the tensor, say; in messages.

        Raises:
            DeviceMemoryError: there is not so much; it has the bytes wanted and free.
        """
        ...

    def pinned(self, size_bytes: int, *, what: str = "") -> PinnedBuffer:
        """Pinned memory of the host.

        Raises:
            DeviceMemoryError: there is not so much.
        """
        ...

    def kernel(self, source: str, name: str) -> Kernel:
        """Compile a kernel of a CUDA source (``extern "C"``) for this device, or take it from before.

        Raises:
            DeviceError: it does not compile; the message has the compiler's.
        """
        ...
