"""The backends whose whole search runs on a GPU: ``tensorrt``, ``tensorrt-rtx`` and ``ort-cuda``.

They differ in what makes engines of the graphs (`cnnrnn.runtime.device.engines.Source`); the loop, its
buffers and its kernels are the same.

A session is made for a bucket when the first search of that size comes, and kept. Threads that search at the
same time have a session each, with a stream and buffers of its own, and share the engines.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from cnnrnn.core.errors import ClosedError, CnnrnnError, OptionsError
from cnnrnn.core.search import SearchOptions, check_batch
from cnnrnn.runtime import search_inputs
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.device.engines import Engine, Source
from cnnrnn.runtime.device.frames import check_frame
from cnnrnn.runtime.device.loop import WAYS, Way, choose
from cnnrnn.runtime.device.loop_memory import MemoryNeed
from cnnrnn.runtime.device.pool import Pool, Sharing, close_all
from cnnrnn.runtime.device.protocol import Device
from cnnrnn.runtime.device.search import DeviceSearch
from cnnrnn.runtime.device.session import Picture, Session, memory_need
from cnnrnn.runtime.device.tensors import ROLES, Role, SearchGraphs
from cnnrnn.runtime.engine.bucket import MAX_IMAGES
from cnnrnn.runtime.frame import DeviceFrame
from cnnrnn.runtime.graph_check import check_contract
from cnnrnn.runtime.graphs import Graphs, select_graph
from cnnrnn.runtime.questions import Questions
from cnnrnn.runtime.search_inputs import Arrays, SpecialTokens
from cnnrnn.runtime.select import SelectKind

_log = logging.getLogger(__name__)

# A session has room for so many steps at least, so that most searches can use the same.
_LEAST_STEPS = 32
_BATCHES = (1, 2, 4, 8, 16)
_TURN_S = 0.05


@dataclass(frozen=True)
class _Bucket:
    """What a session is made for.

    Attributes:
        letters: the size of each letter in the graphs' shapes, sorted.
        steps: for which there is room.
    """

    kind: SelectKind
    letters: tuple[tuple[str, int], ...]
    steps: int


class DeviceBackend:
    """See `cnnrnn.runtime.loop.Searches`; safe to call from several threads.

    Args:
        name: of the backend.
        graphs: what to run.
        device: is closed with the backend.
        source: of the engines; is closed with the backend.
        way: to loop, or ``"auto"``.

    Raises:
        BundleError: the graphs do not fit together.
        DeviceError: no such way on this device.
    """

    def __init__(self, name: str, graphs: Graphs, device: Device, source: Source, way: str = "auto") -> None:
        self.name, self.precision = name, graphs.precision
        self.vocabulary = graphs.manifest.vocabulary.size
        check_contract(graphs.manifest, graphs.precision)
        self._graphs, self._device, self._source = graphs, device, source
        self.way: Way = choose(device, way, captures=source.captures)
        if way == "auto" and source.captures and self.way != WAYS[0]:
            _log.warning(
                "%s cannot run a loop in a graph: CUDA 12.4 and cuda.core are needed, and its driver is of "
                "CUDA %s; the steps are taken by loop=%r, which is slower",
                device.info.name,
                ".".join(map(str, device.info.driver_cuda)),
                self.way,
            )
        self._sessions: Pool[_Bucket, Session] = Pool("sessions")
        self._engines: Sharing[tuple[Any, ...], Engine] = Sharing()
        self._selects: dict[SelectKind, Any] = {}
        self._lock = threading.Lock()
        # Where all is queued on one stream, searches take turns.
        self._turn: threading.Lock | None = threading.Lock() if source.stream is not None else None
        self._open, self._closed, self._gone = 0, False, False
        self._abandoned: deque[DeviceSearch] = deque()
        self._unwanted: deque[Session] = deque()

    @property
    def overlaps(self) -> bool:
        """Whether a search may be begun while another is not at its end."""
        return self._turn is None

    def prepare(self, kind: SelectKind) -> None:
        """Get the graph that a search of this kind needs, so that an error comes before any other work.

        Raises:
            OptionsError, MissingDependencyError: there is none, and none can be made.
        """
        with self._lock:
            if kind not in self._selects:
                self._selects[kind] = select_graph(self._graphs, kind)

    def check_frame(self, frame: DeviceFrame) -> None:
        """Refuse a frame that cannot be read on this device.

        Raises:
            ImageError: it is on another, or on none.
            BackendError: the device failed.
            ClosedError: the backend is closed.
        """
        with self._device.current():
            check_frame(self._device, frame)

    def memory(self, images: int, beams: int) -> MemoryNeed:
        """What a plain search of this size takes on the device beside the engines' weights, before it is
        taken; engines are built for it where there are none.

        Raises:
            OptionsError: there is no such size.
        """
        options = SearchOptions(beams=beams, max_length=_LEAST_STEPS)
        special = SpecialTokens.of(self._graphs.manifest)
        kind = SelectKind(beams, len(special.end), vocabulary=self.vocabulary, ctc=special.blank is not None)
        self.prepare(kind)
        bucket, _ = self._bucket(kind, images, images, options, special)
        self._enter()
        try:
            with self._device.current(), ExitStack() as used:
                graphs, engines = self._made(bucket, used)
                return memory_need(graphs, bucket.steps, engines)
        finally:
            self._exit()

    def search(
        self,
        pictures: Sequence[Picture | DeviceFrame],
        options: SearchOptions,
        special: SpecialTokens,
        clock: Clock,
        kind: SelectKind,
        *,
        questions: Questions | None = None,
        streams: bool = False,
    ) -> DeviceSearch:
        """Begin a search; it goes on by itself.

        Args:
            pictures: (H, W, 3) RGB each, of the encoder's size, or frames that `check_frame` let pass; at
                most `MAX_IMAGES`.
            questions: one for each picture, or several about a single one; at most `MAX_IMAGES` too.
            options: checked already.
            clock: gets the stages ``encoder`` and ``search``, as the device measured them.
            kind: that was prepared.
            streams: the search will be followed step by step.

        Raises:
            BackendError: the device or an engine failed, or there is no memory; nothing is left behind.
            CacheError: the folder of built engines cannot be used.
            ClosedError: the backend is closed.
        """
        answers = len(pictures if questions is None else questions)
        check_batch(options, answers)
        if answers > MAX_IMAGES:
            raise OptionsError(f"{answers} at once, at most {MAX_IMAGES}; give them in parts")
        bucket, arrays = self._bucket(kind, answers, len(pictures), options, special)
        letters = dict(bucket.letters)
        filled = [*pictures, *[pictures[-1]] * (letters["I"] - len(pictures))]
        if questions is not None:
            questions = questions.rows([min(row, answers - 1) for row in range(letters["B"])])
        self._enter()
        try:
            with self._device.current():
                session = self._sessions.take(bucket, partial(self._session, bucket))
                try:
                    late_at = _late_at(options, clock)
                    session.start(
                        filled, arrays, options.longest, late_at, questions=questions, streams=streams
                    )
                except BaseException:
                    self._close_sessions(self._sessions.give_back(bucket, session, False))
                    raise
        except BaseException:
            self._exit()
            raise
        return DeviceSearch(
            session,
            answers,
            options,
            clock,
            partial(self._give_back, bucket),
            self._device.current,
            self._leave,
            columns=kind.ctc,
        )

    def close(self) -> None:
        """Give everything back that is not in use; searches that are running end well."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._close_abandoned()
        self._close_sessions(self._sessions.close())
        self._close_when_idle()

    def _leave(self, search: DeviceSearch) -> None:
        self._abandoned.append(search)
        if self._closed:  # nobody comes by any more
            self._close_abandoned()

    def _close_abandoned(self) -> None:
        while self._abandoned:
            with suppress(IndexError):  # another thread had the same thought
                self._abandoned.popleft().close()

    def _enter(self) -> None:
        """Begin a search: wait for its turn, and keep the device open until `_exit`."""
        self._close_abandoned()
        while self._turn is not None and not self._turn.acquire(timeout=_TURN_S):
            self._close_abandoned()  # it may be one of these that has the turn
        with self._lock:
            self._open += 1
        if self._closed:
            self._exit()
            raise ClosedError("the backend is closed; load the bundle again")

    def _exit(self) -> None:
        if self._turn is not None:
            self._turn.release()
        with self._lock:
            self._open -= 1
        self._close_when_idle()

    def _give_back(self, bucket: _Bucket, session: Session, usable: bool) -> None:
        self._close_sessions(self._sessions.give_back(bucket, session, usable))
        self._exit()

    def _close_sessions(self, unwanted: list[Session]) -> None:
        """Where not even that can be done, they stay for the next time."""
        self._unwanted.extend(unwanted)
        if self._unwanted:
            try:
                with self._device.current():
                    while self._unwanted:
                        close_all([self._unwanted.pop()])
            except CnnrnnError as error:
                _log.warning("%s", error)

    def _close_when_idle(self) -> None:
        with self._lock:
            if not self._closed or self._open or self._gone:
                return
            self._gone = True
        with self._device.current():
            self._source.close()
        self._device.close()

    def _bucket(
        self, kind: SelectKind, answers: int, images: int, options: SearchOptions, special: SpecialTokens
    ) -> tuple[_Bucket, Arrays]:
        """The session to search in, for so many answers about as many images or one, and what the search
        starts from there."""
        batch = answers if self._source.any_size else next(size for size in _BATCHES if size >= answers)
        every = options.of_images([min(row, answers - 1) for row in range(batch)])
        steps = max(_LEAST_STEPS, 1 << (options.longest - 1).bit_length())
        state, constants = search_inputs.start(kind, batch, every, special, self.vocabulary, room=steps)
        arrays = state | search_inputs.padded(constants)
        arrays["tokens"] = search_inputs.first_tokens(every, special, batch)
        arrays["parents"] = np.tile(np.arange(kind.beams, dtype=np.int32), (batch, 1))
        letters = self._letters(kind, batch, arrays)
        letters["I"] = 1 if images < answers else batch
        if kind.coverage:
            arrays["coverage"] = np.zeros((batch, kind.beams, letters.get("P", 0)), np.float32)
        return _Bucket(kind, tuple(sorted(letters.items())), steps), arrays

    def _letters(self, kind: SelectKind, images: int, arrays: Arrays) -> dict[str, int]:
        letters = {"B": images, "K": kind.beams, "V": self.vocabulary}
        step = self._graphs.manifest.precisions[self.precision]["step"]
        for tensor in step.outputs:
            if tensor.name == "alignment" and isinstance(tensor.shape[-1], int):
                letters["P"] = tensor.shape[-1]
        spec, _ = self._selects[kind]
        for tensor in spec.inputs:
            sizes = arrays[tensor.name].shape if tensor.name in arrays else tensor.shape
            pairs = zip(tensor.shape, sizes, strict=True)
            letters |= {letter: size for letter, size in pairs if isinstance(letter, str) and letter != size}
        return letters

    def _made(self, bucket: _Bucket, used: ExitStack) -> tuple[SearchGraphs, dict[Role, Engine]]:
        """The graphs of a bucket and their engines, which are in use until the stack is closed."""
        pair = self._graphs.manifest.precisions[self.precision]
        select, select_data = self._selects[bucket.kind]
        letters = dict(bucket.letters)
        graphs = SearchGraphs(pair["encoder"], pair["step"], select, letters)
        engines: dict[Role, Engine] = {}
        for role in ROLES:
            spec = graphs.spec(role)
            shapes = tuple(sorted((name, shape) for name, (_, shape) in graphs.inputs(role).items()))
            data = select_data if role == "select" else None
            make = partial(self._engine, role, graphs, data)
            engines[role] = self._engines.use((role, spec.file, shapes), make, used)
        return graphs, engines

    def _engine(self, role: Role, graphs: SearchGraphs, data: bytes | None) -> Engine:
        spec = graphs.spec(role)
        graph = self._graphs.read(spec.file) if data is None else data
        return self._source.engine(role, spec, graph, graphs.letters)

    def _session(self, bucket: _Bucket) -> Session:
        with ExitStack() as used:
            graphs, engines = self._made(bucket, used)
            shared = self._source.stream
            stream = shared if shared is not None else self._device.stream()
            session = Session(
                self._device, stream, graphs, bucket.steps, engines, self.way, shared=shared is not None
            )
            session.uses(used.pop_all())
            return session


def _late_at(options: SearchOptions, clock: Clock) -> float | None:
    """When the deadline is, on `time.perf_counter`: it counts from when all was ready."""
    if options.deadline_ms is None:
        return None
    return time.perf_counter() + (options.deadline_ms - clock.before_ms) / 1e3
