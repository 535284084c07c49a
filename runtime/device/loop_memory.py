"""The buffers of a decoding loop: two turns, the history, and what crosses to the host and back."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cnnrnn.runtime.device.arena import Layout, TensorPlace
from cnnrnn.runtime.device.protocol import Buffer, Device, PinnedBuffer, Stream

if TYPE_CHECKING:
    from typing_extensions import Self

Tensors = Mapping[str, tuple[str, tuple[int, ...]]]  # dtype and shape by name


@dataclass(frozen=True)
class LoopTensors:
    """What the two engines of a step read and write, without the ``next_`` of what is written.

    Attributes:
        row: is kept of every step: ``tokens``, ``parents``, ``scores``, the pool, ``done``, an alignment.
        state: goes from step to step beside that: the model's, and the rest of the search's.
        constant: stays the same: the encoder's memory, the search's numbers.
        logits: of a step.
        limit: T, steps at most.
        what: the bucket, for messages.
    """

    row: Tensors
    state: Tensors
    constant: Tensors
    logits: tuple[str, tuple[int, ...]]
    limit: int
    what: str = ""


class LoopMemory:
    """All buffers of a loop, in one place; closed together.

    Attributes:
        rows: of each turn.
        history: T rows.
        progress: two int32, see `loop_kernels`; all_done: one.
        late: pinned: one int32, which the host sets.
        fetched: reached when `fetch` is done.

    Raises:
        DeviceMemoryError: they do not fit.
    """

    def __init__(self, device: Device, stream: Stream, tensors: LoopTensors) -> None:
        self._stream, self._limit = stream, tensors.limit
        self._row, self._state = Layout(tensors.row), Layout(tensors.state)
        self._constant = Layout(tensors.constant)
        self._scratch = Layout({"logits": tensors.logits, "all_done": ("int32", (1,))})
        with ExitStack() as opened:

            def on_device(size_bytes: int, name: str) -> Buffer:
                return opened.enter_context(
                    device.allocate(size_bytes, stream, what=f"{tensors.what}: {name}".removeprefix(": "))
                )

            def on_host(size_bytes: int, name: str) -> PinnedBuffer:
                return opened.enter_context(device.pinned(size_bytes, what=name))

            self.rows = [on_device(self._row.size_bytes, "row") for _ in range(2)]
            self._states = [on_device(self._state.size_bytes, "state") for _ in range(2)]
            self._constants = on_device(self._constant.size_bytes, "memory")
            self._logits = on_device(self._scratch.places["all_done"].offset, "logits")
            self.all_done = on_device(4, "all_done")
            self.history = on_device(self._row.size_bytes * tensors.limit, "history")
            self.progress = on_device(8, "progress")
            self.late = on_host(4, "late")
            self._sent = [
                (buffer, on_host(buffer.size_bytes, "first step"), layout)
                for buffer, layout in (
                    (self.rows[0], self._row),
                    (self._states[0], self._state),
                    (self._constants, self._constant),
                )
            ]
            self._got_history = on_host(self.history.size_bytes, "history")
            self._got_progress = on_host(8, "progress")
            self.fetched = opened.enter_context(device.event())
            self._opened = opened.pop_all()

    @property
    def device_buffers(self) -> tuple[Buffer, ...]:
        """All that engines are bound to."""
        return (*self.rows, *self._states, self._constants, self._logits, self.all_done)

    def places(self, turn: int) -> dict[str, TensorPlace]:
        """Where a turn's tensors are: by its name what is read, and with ``next_`` before it what is written,
        which is the other turn's; ``next_tokens``, ``next_parents`` and ``next_alignment`` among them."""
        read = self._row.at(self.rows[turn].address) | self._state.at(self._states[turn].address)
        other = 1 - turn
        written = self._row.at(self.rows[other].address) | self._state.at(self._states[other].address)
        return (
            read
            | {f"next_{name}": place for name, place in written.items()}
            | self._constant.at(self._constants.address)
            | {
                "logits": self._scratch.at(self._logits.address)["logits"],
                "all_done": TensorPlace("int32", (1,), 0, self.all_done.address),
            }
        )

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Queue the first turn's tensors and those that stay; the host's copies are this object's own."""
        self.late.array(np.int32, (1,))[0] = 0
        for buffer, host, layout in self._sent:
            given = {name: array for name, array in arrays.items() if name in layout.places}
            layout.write(host.array(np.uint8, (host.size_bytes,)), given)
            self._stream.copy(buffer, host)
        self._stream.fill(self.progress, 0)

    def fetch(self) -> None:
        """Queue what the host gets."""
        self._stream.copy(self._got_history, self.history)
        self._stream.copy(self._got_progress, self.progress)
        self._stream.record(self.fetched)

    def found(self) -> tuple[dict[str, NDArray[Any]], int]:
        """The rows of the steps that count, by name, and their number; after the host has waited."""
        steps = int(self._got_progress.array(np.int32, (2,))[0])
        data = self._got_history.array(np.uint8, (self._limit, self._row.size_bytes))[:steps]
        return {name: place.of(data) for name, place in self._row.places.items()}, steps

    def close(self) -> None:
        """Give everything back."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
