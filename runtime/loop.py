"""The decoding loop, the same for every backend: encode, then step and select until every image is done.

Nothing but one integer, "all done", crosses to the host between steps. The tokens, parents and scores of
each step are kept where they are and copied together at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from cnnrnn.core.search import SearchOptions, check_batch
from cnnrnn.runtime.backend import Backend, Tensor
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.frame import DeviceFrame
from cnnrnn.runtime.questions import Questions
from cnnrnn.runtime.search_inputs import SpecialTokens, first_tokens, start
from cnnrnn.runtime.select import POOL, SelectKind
from cnnrnn.runtime.selecting import Selected, selecting

if TYPE_CHECKING:
    from cnnrnn.runtime.device.counters import Counters

__all__ = [
    "DeviceTrace",
    "History",
    "Search",
    "Searches",
    "Searching",
    "SpecialTokens",
    "Steps",
    "begin",
    "decode",
    "prepare",
]

# What a step between host and device would be noticed by.
CROSSED = ("host_to_device_bytes", "device_to_host_bytes", "synchronizes")
# A picture that is ready for the encoder: (H, W, 3) RGB on the host, or a frame on a device.
Pixels: TypeAlias = NDArray[np.uint8] | DeviceFrame

# What a step chooses for each live beam.
CHOSEN = ("tokens", "parents", "scores")


@dataclass(frozen=True)
class Steps:
    """What some steps of a search left behind, on the host; T steps, B images, K beams.

    Attributes:
        tokens, parents: (T, B, K) int32; the token that each live beam got at each step, and the beam of the
            step before that it was added to.
        scores: (T, B, K) float32; each live beam's log-probability after that step.
        finished_scores, finished_logprobs: (B, K) float32, after the last of the steps, best first within
            each group of beams.
        finished_beams, finished_steps, finished_tokens: (B, K) int32: the beam the last token was added to,
            the number of tokens (0: an empty slot) and the last token.
    """

    tokens: NDArray[np.int32]
    parents: NDArray[np.int32]
    scores: NDArray[np.float32]
    finished_scores: NDArray[np.float32]
    finished_logprobs: NDArray[np.float32]
    finished_beams: NDArray[np.int32]
    finished_steps: NDArray[np.int32]
    finished_tokens: NDArray[np.int32]


@dataclass(frozen=True)
class DeviceTrace:
    """How a search ran on a device.

    Attributes:
        loop: ``"while"``, ``"replay"`` or ``"launch"``, see `cnnrnn.runtime.device.loop`.
        between: what crossed between host and device from the first step to the last.
        counters: of the whole answer: the picture and the options in, the history out, one wait.
    """

    loop: str
    between: Counters
    counters: Counters

    @property
    def crossed(self) -> dict[str, int]:
        """What `cnnrnn.runtime.result.Result.counters` has."""
        counted = self.between.to_dict()
        return {name: counted[name] for name in CROSSED}


@dataclass(frozen=True)
class History(Steps):
    """All steps of a search, and how it ended; P positions.

    Attributes:
        done: (B) bool; False where the deadline came first.
        faults: (B) int32: the step, from 1, in which an image's logits were not finite; 0 where they were.
        alignments: (T, B, K, P) float32, or None; row t belongs to the beams as they were before step t.
        options: what was searched with.
        device: where the loop ran on a GPU, how.
        columns: whether each step was a column of a line, and a blank no character.
    """

    done: NDArray[np.bool_]
    faults: NDArray[np.int32]
    alignments: NDArray[np.float32] | None
    options: SearchOptions
    device: DeviceTrace | None = None
    columns: bool = False


class Searching(Protocol):
    """A search that has begun. Whoever has it asks for its `history`, or closes it."""

    def advance(self) -> bool:
        """Take one step; False when it was the last: all images are done, or the deadline has passed."""
        ...

    def latest(self) -> Steps:
        """The last step alone, copied to the host."""
        ...

    def history(self) -> History:
        """Take the steps that are left, and give all that they left behind, copied to the host."""
        ...

    def close(self) -> None:
        """Give back what the search holds."""
        ...

    def abandon(self) -> None:
        """Nobody has the search any more. Called by whatever runs just then: it may be given back later."""
        ...


@runtime_checkable
class Searches(Protocol):
    """A backend that runs a whole search by itself; safe to call from several threads.

    Attributes:
        name, precision: what runs.
    """

    name: str
    precision: str

    @property
    def vocabulary(self) -> int:
        """V, the logits of a beam."""
        ...

    @property
    def overlaps(self) -> bool:
        """Whether a thread gains from beginning a search before the last one's history is asked for."""
        ...

    def prepare(self, kind: SelectKind) -> None:
        """As `cnnrnn.runtime.backend.Backend.prepare`."""
        ...

    def check_frame(self, frame: DeviceFrame) -> None:
        """Refuse a frame that this backend cannot read where it lies.

        Raises:
            ImageError: it says why.
        """
        ...

    def search(
        self,
        pictures: Sequence[Pixels],
        options: SearchOptions,
        special: SpecialTokens,
        clock: Clock,
        kind: SelectKind,
        *,
        questions: Questions | None = None,
        streams: bool = False,
    ) -> Searching:
        """Begin a search, which then goes on by itself; see `begin`."""
        ...

    def close(self) -> None:
        """Give back what the backend holds. Searches that are running end well; twice does nothing."""
        ...


def prepare(backend: Backend | Searches, options: SearchOptions, special: SpecialTokens) -> SelectKind:
    """The select graph that these options need, made ready, so that its absence costs no other work.

    Raises:
        OptionsError, MissingDependencyError: there is none, and none can be made.
    """
    kind = SelectKind.of(
        options, end_count=len(special.end), vocabulary=backend.vocabulary, ctc=special.blank is not None
    )
    backend.prepare(kind)
    return kind


def begin(
    backend: Backend | Searches,
    pictures: Sequence[Pixels],
    options: SearchOptions,
    special: SpecialTokens,
    clock: Clock,
    kind: SelectKind,
    *,
    questions: Questions | None = None,
    streams: bool = False,
) -> Searching:
    """Begin a search for the captions of ``pictures``, or for the answers to questions about them.

    Args:
        pictures: (H, W, 3) RGB each, or frames that the backend's `Searches.check_frame` let pass.
        questions: one for each picture, or several about a single one.
        options, clock, kind: as of `decode`.
        streams: the search will be followed step by step, by `Searching.latest`.
    """
    if isinstance(backend, Searches):
        asked = {} if questions is None else {"questions": questions}
        return backend.search(pictures, options, special, clock, kind, streams=streams, **asked)
    on_host = [picture for picture in pictures if not isinstance(picture, DeviceFrame)]
    return Search(backend, np.stack(on_host), options, special, clock, kind, questions)


def decode(
    backend: Backend,
    images: NDArray[np.uint8],
    options: SearchOptions,
    special: SpecialTokens,
    clock: Clock,
    kind: SelectKind | None = None,
    *,
    questions: Questions | None = None,
) -> History:
    """Search for the captions of ``images`` (B, H, W, 3) RGB.

    Args:
        options: checked already, by `cnnrnn.core.search.check`.
        clock: gets the stages ``encoder``, ``step``, ``select`` and ``backtrace`` (the copy to the host);
            ``deadline_ms`` counts from its start, less what was before.
        kind: what `prepare` gave for these options, or for those of a larger batch; prepared here by default.
        questions: one for each image, or several about a single one; an answer each.

    Raises:
        BackendError: a graph failed.
        OptionsError: an option that was given for each image was given for another number of images.
        OptionsError, MissingDependencyError: there is no select graph of this kind.
    """
    return Search(backend, images, options, special, clock, kind, questions).history()


class Search:
    """A search that is taken step by step; the arguments are those of `decode`."""

    def __init__(
        self,
        backend: Backend,
        images: NDArray[np.uint8],
        options: SearchOptions,
        special: SpecialTokens,
        clock: Clock,
        kind: SelectKind | None = None,
        questions: Questions | None = None,
    ) -> None:
        batch, beams = len(images if questions is None else questions), options.beams
        check_batch(options, batch)
        self._backend, self._options, self._clock = backend, options, clock
        self._columns = special.blank is not None
        kind = kind or prepare(backend, options, special)
        with clock.stage("encoder"):
            encoded = backend.encode(images) if questions is None else backend.encode(images, questions)
            self._memory, self._state = encoded.memory, backend.widen(encoded.state, beams)
        with clock.stage("select"):
            state, constants = start(kind, batch, options, special, backend.vocabulary)
            self._select = selecting(backend, kind, state, constants)
            self._tokens = backend.from_host(first_tokens(options, special, batch))
            self._parents = backend.from_host(np.tile(np.arange(beams, dtype=np.int32), (batch, 1)))
        self._trail: list[tuple[Selected, Tensor | None]] = []
        self._over = False

    def advance(self) -> bool:
        """Take one step; False when it was the last: all images are done, or the deadline has passed."""
        clock = self._clock
        with clock.stage("step"):
            stepped = self._backend.step(self._tokens, self._parents, self._state, self._memory)
        with clock.stage("select"):
            chosen, done = self._select.step(stepped.logits, stepped.alignment)
            self._tokens, self._parents, self._state = chosen.tokens, chosen.parents, stepped.state
            self._trail.append((chosen, stepped.alignment))
        deadline = self._options.deadline_ms
        late = deadline is not None and clock.before_ms + clock.total_ms >= deadline
        self._over = done or late or len(self._trail) >= self._options.longest
        return not self._over

    def latest(self) -> Steps:
        """The last step alone, copied to the host."""
        return Steps(**self._steps(self._trail[-1:]))

    def history(self) -> History:
        """Take the steps that are left, and give all that they left behind, copied to the host."""
        while not self._over:
            self.advance()
        host = self._backend.to_host
        with self._clock.stage("backtrace"):
            aligned = [host(alignment) for _, alignment in self._trail if alignment is not None]
            done = host(self._select.state["done"])[:, 0]
            return History(
                **self._steps(self._trail),
                done=done > 0,
                faults=np.maximum(done - 1, 0),
                alignments=np.stack(aligned) if aligned else None,
                options=self._options,
                columns=self._columns,
            )

    def close(self) -> None:
        """Nothing is held that somebody else waits for."""

    def abandon(self) -> None:
        """As `close`."""

    def _steps(self, trail: list[tuple[Selected, Tensor | None]]) -> dict[str, Any]:
        """The fields of `Steps`."""
        host = self._backend.to_host
        made = {name: np.stack([host(getattr(chosen, name)) for chosen, _ in trail]) for name in CHOSEN}
        return steps_of(made | {name: np.array(host(self._select.state[name]))[None] for name in POOL})


def steps_of(rows: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """The fields of `Steps` from what the select graph made, (T, B, ...) each; the last pool counts."""
    made = {name: rows[name] for name in CHOSEN}
    pool = {name: rows[name][-1] for name in POOL}
    finished = np.moveaxis(pool.pop("finished").reshape(*pool["finished_scores"].shape, 3), -1, 0)
    names = ("finished_beams", "finished_steps", "finished_tokens")
    return made | pool | dict(zip(names, finished, strict=True))
