"""One search at a time on a device: its stream, its buffers, the engines bound to them, its graphs.

All of an answer is queued on one stream: the picture, the encoder, what widens its state, the loop, and what
the host gets. So the encoder of one session runs beside the loop of another.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnrnn.core.errors import CnnrnnError, DeviceMemoryError
from cnnrnn.runtime.device.counters import Counters
from cnnrnn.runtime.device.engines import Context, Engine
from cnnrnn.runtime.device.frames import SOURCE as FRAME_SOURCE
from cnnrnn.runtime.device.frames import begin_reading, draw, end_reading
from cnnrnn.runtime.device.loop import DeviceLoop, Way
from cnnrnn.runtime.device.loop_kernels import BLOCK, SOURCE
from cnnrnn.runtime.device.loop_memory import LoopMemory, MemoryNeed
from cnnrnn.runtime.device.protocol import Capture, Device, Graph, Queue, Stream
from cnnrnn.runtime.device.tensors import ROLES, Role, SearchGraphs, search_tensors
from cnnrnn.runtime.frame import DeviceFrame
from cnnrnn.runtime.questions import Questions

_log = logging.getLogger(__name__)

Picture = NDArray[np.uint8]
Engines = Mapping[Role, Engine]


@dataclass(frozen=True)
class Rows:
    """What the steps of a search left behind, on the host.

    Attributes:
        rows: by the tensors' names, (T, B, ...).
        steps: T.
        encoder_ms, search_ms: on the device: from the first byte to the end of the encoder, and from there to
            the end of the last step.
        between: what crossed between host and device from the first step to the last, and how often the host
            waited: nothing, if all is well.
        counters: of the whole answer.
    """

    rows: Mapping[str, NDArray[Any]]
    steps: int
    encoder_ms: float
    search_ms: float
    between: Counters
    counters: Counters


def memory_need(graphs: SearchGraphs, limit: int, engines: Engines) -> MemoryNeed:
    """What a session of these takes, before any is taken."""
    return LoopMemory.need(search_tensors(graphs, limit), _scratch(engines))


class Session:
    """See the module; for one thread at a time, within the device's context.

    Args:
        stream: everything is queued on it; the session closes it, unless it is ``shared``.
        limit: T, for how many steps there is room.
        engines: by role, of exactly the sizes of ``graphs``.
        way: to loop, one that `cnnrnn.runtime.device.loop.choose` gave.

    Raises:
        DeviceMemoryError: it does not fit: known before any of it is taken.
        BackendError: the driver or an engine refused; nothing is left behind.
    """

    def __init__(
        self,
        device: Device,
        stream: Stream,
        graphs: SearchGraphs,
        limit: int,
        engines: Engines,
        way: Way,
        *,
        shared: bool = False,
    ) -> None:
        self._device, self._stream = device, stream
        tensors = search_tensors(graphs, limit)
        self.limit = limit
        self._encoding: Graph | None = None
        self._shared = ExitStack()
        self._frames: list[DeviceFrame] = []
        self._before = self._after_inputs = stream.counters.snapshot()
        with ExitStack() as opened:
            if not shared:
                opened.enter_context(stream)
            _check_room(device, LoopMemory.need(tensors, _scratch(engines)), tensors.what)
            self._memory = opened.enter_context(LoopMemory(device, stream, tensors, _scratch(engines)))
            self._widen = device.kernel(SOURCE, "widen")

            def bound(role: Role, turn: int) -> Context:
                scratch = self._memory.scratch
                address = 0 if scratch is None else scratch.address
                context = engines[role].context(self._memory.places(graphs, role, turn), address)
                opened.callback(context.close)
                return context

            self._encoder = bound("encoder", 0)
            first, second = ((bound("step", turn), bound("select", turn)) for turn in range(2))
            self._marks = [opened.enter_context(device.event(timing=True)) for _ in range(3)]
            self._loop = DeviceLoop(device, stream, self._memory, (first, second), way, self._marks[2])
            opened.callback(self._loop.close)
            opened.callback(self._drain)
            self._warm_up()
            if way != "launch":
                self._encoding = opened.enter_context(stream.capture(self._record_encoder))
                self._loop.ready()
            self._opened = opened.pop_all()

    def uses(self, shared: ExitStack) -> None:
        """Close this when the session is closed, after all else."""
        self._shared = shared

    @property
    def way(self) -> Way:
        """How it loops."""
        return self._loop.way

    def start(
        self,
        pictures: Sequence[Picture | DeviceFrame],
        arrays: Mapping[str, NDArray[Any]],
        steps: int,
        late_at: float | None = None,
        *,
        questions: Questions | None = None,
        streams: bool = False,
    ) -> None:
        """Queue a search.

        Args:
            pictures: B of them, each (H, W, 3) RGB of the encoder's size, or a frame on the device; where the
                encoder reads questions, as many as it was built for.
            arrays: by name, what the search starts from, see `cnnrnn.runtime.search_inputs`.
            steps: at most, up to ``limit``.
            late_at: on `time.perf_counter`; the step that is running then is the last.
            questions: B of them, where the encoder reads any.
            streams: let `streamed` have each step that `count` has.
        """
        memory, stream = self._memory, self._stream
        self._loop.ready(streams)
        self._before = stream.counters.snapshot()
        stream.record(self._marks[0])
        self._put(pictures, questions)
        memory.load(arrays, steps)
        if self._encoding is None:
            self._encode(stream)
        else:
            self._encoding.launch(stream)
        stream.record(self._marks[1])
        self._after_inputs = stream.counters.snapshot()
        self._loop.start(steps, late_at, streams=streams)

    def count(self) -> tuple[int, bool]:
        """How many steps the device has told of so far, and whether the last is among them."""
        return self._memory.count()

    def stop(self) -> None:
        """Let the step that is running be the last."""
        self._memory.late.array(np.int32, (1,))[0] = 1

    def go_on(self) -> bool:
        """Do what there is to do for the host, without waiting; False once the search is through."""
        return self._loop.go_on()

    def streamed(self, step: int) -> dict[str, NDArray[Any]]:
        """What the device has told of a step, from 0, by name, (B, ...)."""
        return self._memory.streamed(step)

    def finish(self) -> Rows:
        """Wait for the end of the search, and give what it left behind.

        Raises:
            DeviceError: the device failed.
        """
        self._loop.finish()
        self._frames.clear()
        counters = self._stream.counters
        rows, steps = self._memory.found()
        begin, encoded, ended = self._marks
        return Rows(
            rows,
            steps,
            encoder_ms=encoded.elapsed_ms(begin),
            search_ms=ended.elapsed_ms(encoded),
            between=self._loop.counters.since(self._after_inputs),
            counters=counters.since(self._before),
        )

    def close(self) -> None:
        """Wait for what is queued and give everything back."""
        with self._shared:
            self._opened.close()

    def _drain(self) -> None:
        """Let what is queued come to its end, before what it uses is given back."""
        with suppress(CnnrnnError):  # whoever queued it was told
            self._stream.synchronize()

    def _warm_up(self) -> None:
        """Run everything once on zeros, since what an engine does at its first run may not be captured."""
        memory, stream = self._memory, self._stream
        for buffer in (*memory.device_buffers, memory.history, memory.progress):
            stream.fill(buffer, 0)
        self._encode(stream)
        self._loop.once()
        stream.synchronize()

    def _put(self, pictures: Sequence[Picture | DeviceFrame], questions: Questions | None) -> None:
        """Queue bringing what the encoder reads to its inputs: by a copy of all that is on the host, and by a
        kernel for each frame, which is kept until the search is over."""
        memory, stream, device = self._memory, self._stream, self._device
        place = memory.at("image")["image"]
        rows = memory.encoder_input("image")
        for name, array in () if questions is None else questions.inputs.items():
            memory.encoder_input(name)[...] = array
        frames = {row: picture for row, picture in enumerate(pictures) if isinstance(picture, DeviceFrame)}
        for row, picture in enumerate(pictures):
            if not isinstance(picture, DeviceFrame):
                rows[row] = picture
        if len(frames) < len(pictures) or questions is not None:
            stream.copy(memory.image, memory.picture)
        if not frames:
            return
        kernel = device.kernel(FRAME_SOURCE, "fit_frame")
        self._frames = list({id(frame): frame for frame in frames.values()}.values())
        for frame in self._frames:
            begin_reading(device, stream, frame)
        for row, frame in frames.items():
            draw(stream, kernel, frame, place.address + row * rows[row].nbytes)
        for frame in self._frames:
            end_reading(device, stream, frame)

    def _record_encoder(self, capture: Capture) -> None:
        capture.uses(*self._memory.device_buffers)
        self._encode(capture)

    def _encode(self, queue: Queue) -> None:
        """The encoder, and its state for every beam."""
        self._encoder.enqueue(queue.handle)
        first, wide = self._memory.at("first"), self._memory.at("hidden")
        for name, place in first.items():
            target, images = wide[name], place.shape[0]
            queue.launch(
                self._widen,
                np.uint64(target.address),
                np.uint64(place.address),
                np.int32(place.size_bytes // images),
                np.int32(target.size_bytes // place.size_bytes),
                np.int64(target.size_bytes),
                grid=-(-target.size_bytes // BLOCK),
                block=BLOCK,
            )


def _scratch(engines: Engines) -> int:
    """They run one after the other, in the same memory."""
    return max(engines[role].scratch_bytes for role in ROLES)


def _check_room(device: Device, need: MemoryNeed, what: str) -> None:
    """Say what is about to be taken, and that it cannot be where there is not so much."""
    free = device.free_bytes()
    _log.info("%s: %s; %.1f MiB of the device's are free", what, need.text, free / 2**20)
    if need.device_bytes > free:
        raise DeviceMemoryError(
            f"out of memory: {need.device_bytes} bytes of device memory ({what}) are wanted, {free} of "
            f"{device.info.memory_bytes} are free on {device.info.name}. Take a smaller batch or beam, or "
            "close what else uses the GPU",
            wanted_bytes=need.device_bytes,
            free_bytes=free,
            what=what,
        )
