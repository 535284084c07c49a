"""The buffers of a search: two turns, the history, and what crosses to the host and back."""

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
from cnnrnn.runtime.device.tensors import Role, SearchGraphs, SearchTensors, written

if TYPE_CHECKING:
    from typing_extensions import Self

WORD_BYTES = 4

# Groups of tensors that lie in one buffer each; those with two turns have two.
_TWICE = ("row", "state", "hidden")
_ONCE = ("constant", "memory", "first", "image", "logits")
# What the host sends before the first step, and what it has a copy of for that.
_SENT = ("row", "state", "constant")
_PROGRESS, _FLAG = 3 * WORD_BYTES, WORD_BYTES


@dataclass(frozen=True)
class MemoryNeed:
    """What one search takes, as it is asked of the driver: bytes of the device, and of pinned memory."""

    device_bytes: int
    pinned_bytes: int

    @property
    def text(self) -> str:
        """For a person: ``12.3 MiB of device memory and 0.4 MiB of pinned memory``."""
        device, pinned = (bytes_ / 2**20 for bytes_ in (self.device_bytes, self.pinned_bytes))
        return f"{device:.1f} MiB of device memory and {pinned:.1f} MiB of pinned memory"


class LoopMemory:
    """All buffers of a search, in one place; closed together.

    Args:
        scratch_bytes: for the engines to work in, one after the other.

    Attributes:
        rows: of each turn.
        history: T rows.
        progress: three int32, see `cnnrnn.runtime.device.loop_kernels`; all_done: one.
        late: pinned: one int32, which the host sets.
        told: pinned: one int32, which the device sets: the steps that count, below 0 once the last is among
            them.
        ring: pinned: T rows of what `SearchTensors.streamed` names, ``streamed_words`` words each.
        scratch: None where none is asked for.
        fetched: reached when `fetch` is done.

    Raises:
        DeviceMemoryError: they do not fit.
    """

    def __init__(
        self, device: Device, stream: Stream, tensors: SearchTensors, scratch_bytes: int = 0
    ) -> None:
        self._stream, self.tensors = stream, tensors
        self._layouts = _layouts(tensors)
        sizes = {name: layout.size_bytes for name, layout in self._layouts.items()}
        self.streamed_words = _streamed_bytes(tensors, self._layouts["row"]) // WORD_BYTES
        with ExitStack() as opened:

            def on_device(size_bytes: int, name: str) -> Buffer:
                return opened.enter_context(
                    device.allocate(size_bytes, stream, what=f"{name} of {tensors.what}")
                )

            def on_host(size_bytes: int, name: str) -> PinnedBuffer:
                return opened.enter_context(device.pinned(size_bytes, what=f"{name} of {tensors.what}"))

            self._buffers = {
                name: [on_device(sizes[name], name)] for name in (*_TWICE, *_ONCE) if sizes[name]
            }
            for name in _TWICE:
                if sizes[name]:
                    self._buffers[name].append(on_device(sizes[name], name))
            self.rows = self._buffers["row"]
            self.history = on_device(sizes["row"] * tensors.limit, "history")
            self.progress = on_device(_PROGRESS, "progress")
            self.scratch = on_device(scratch_bytes, "engines' scratch") if scratch_bytes else None
            self.image = self._buffers["image"][0]
            self.picture = on_host(sizes["image"], "image")
            self._sent = [
                (self._buffers[name][0], on_host(sizes[name], f"first {name}"), self._layouts[name])
                for name in _SENT
            ]
            self._limit = on_host(_PROGRESS, "limit")
            self._got = on_host(self.history.size_bytes, "history")
            self.late, self.told = on_host(_FLAG, "deadline"), on_host(_FLAG, "steps")
            self.ring = on_host(self.streamed_words * WORD_BYTES * tensors.limit, "streamed steps")
            self.fetched = opened.enter_context(device.event())
            self._opened = opened.pop_all()

    @staticmethod
    def need(tensors: SearchTensors, scratch_bytes: int = 0) -> MemoryNeed:
        """What the buffers of such a search take, before any is taken."""
        layouts = _layouts(tensors)
        sizes = {name: layout.size_bytes for name, layout in layouts.items()}
        history = sizes["row"] * tensors.limit
        device = sum(2 * sizes[name] for name in _TWICE) + sum(sizes[name] for name in _ONCE)
        sent = sum(sizes[name] for name in (*_SENT, "image"))
        ring = _streamed_bytes(tensors, layouts["row"]) * tensors.limit
        return MemoryNeed(
            device_bytes=device + history + _PROGRESS + scratch_bytes,
            pinned_bytes=sent + history + ring + _PROGRESS + 2 * _FLAG,
        )

    @property
    def device_buffers(self) -> tuple[Buffer, ...]:
        """All that engines are bound to."""
        bound = [buffer for buffers in self._buffers.values() for buffer in buffers]
        return (*bound, self.scratch) if self.scratch is not None else tuple(bound)

    def at(self, group: str, turn: int = 0) -> dict[str, TensorPlace]:
        """Where the tensors of a group are."""
        buffers = self._buffers.get(group)
        return self._layouts[group].at(buffers[turn].address) if buffers else {}

    def encoder_input(self, name: str) -> NDArray[Any]:
        """What is sent to one of the encoder's inputs, for the host to fill in."""
        place = self._layouts["image"].places[name]
        data = self.picture.array(np.uint8, (self.picture.size_bytes,))
        part = data[place.offset : place.offset + place.size_bytes]
        return part.view(place.dtype).reshape(place.shape)

    @property
    def all_done(self) -> np.uint64:
        """The address of the flag that a step sets, for a kernel."""
        return np.uint64(self.at("logits")["all_done"].address)

    def places(self, graphs: SearchGraphs, role: Role, turn: int) -> dict[str, TensorPlace]:
        """Where a graph finds and leaves its tensors in a turn, 0 or 1, by its own names."""
        if role == "encoder":
            return self.at("image") | self.at("memory") | self.at("first")
        read, made = (
            {name: place for group in _TWICE for name, place in self.at(group, which).items()}
            for which in (turn, 1 - turn)
        )
        shared = self.at("constant") | self.at("memory") | self.at("logits")
        # An alignment is a step's output, and the select graph's input in the same turn.
        read["alignment"] = made.get("alignment", read.get("alignment"))  # type: ignore[assignment]
        return {name: (read | shared)[name] for name in graphs.inputs(role)} | {
            name: (made | shared)[wanted] for name, wanted in written(graphs.outputs(role))
        }

    def load(self, arrays: Mapping[str, NDArray[Any]], steps: int) -> None:
        """Queue what a search starts from: the tensors of the first turn that are the host's to give, those
        that stay, and how many steps it may take; the host's copies are this object's own."""
        self.late.array(np.int32, (1,))[0] = 0
        self.told.array(np.int32, (1,))[0] = 0
        for buffer, host, layout in self._sent:
            given = {name: array for name, array in arrays.items() if name in layout.places}
            layout.write(host.array(np.uint8, (host.size_bytes,)), given)
            self._stream.copy(buffer, host)
        self._limit.array(np.int32, (3,))[:] = 0, 0, steps
        self._stream.copy(self.progress, self._limit)

    def count(self) -> tuple[int, bool]:
        """How many steps the device has told of, and whether the last is among them."""
        told = int(self.told.array(np.int32, (1,))[0])
        return abs(told), told < 0

    def fetch(self) -> None:
        """Queue what the host gets."""
        self._stream.copy(self._got, self.history)
        self._stream.record(self.fetched)

    def found(self) -> tuple[dict[str, NDArray[Any]], int]:
        """The rows of the steps that count, by name, and their number; after the host has waited."""
        steps, _ = self.count()
        row = self._layouts["row"]
        data = self._got.array(np.uint8, (self.tensors.limit, row.size_bytes))[:steps]
        return {name: place.of(data) for name, place in row.places.items()}, steps

    def streamed(self, step: int) -> dict[str, NDArray[Any]]:
        """What the device has told of one step, from 0, while it goes on."""
        size = self.streamed_words * WORD_BYTES
        data = self.ring.array(np.uint8, (self.tensors.limit, size))[step]
        places = self._layouts["row"].places
        return {name: places[name].of(data) for name in self.tensors.streamed}

    def close(self) -> None:
        """Give everything back."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _layouts(tensors: SearchTensors) -> dict[str, Layout]:
    return {name: Layout(getattr(tensors, name)) for name in (*_TWICE, *_ONCE)}


def _streamed_bytes(tensors: SearchTensors, row: Layout) -> int:
    last = row.places[tensors.streamed[-1]]
    return last.offset + -(-last.size_bytes // WORD_BYTES) * WORD_BYTES
