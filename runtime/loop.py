"""The decoding loop, the same for every backend: encode, then step and select until every image is done.

Nothing but one integer, "all done", crosses to the host between steps. The tokens, parents and scores of
each step are kept where they are and copied together at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnrnn.core.errors import BackendError
from cnnrnn.core.search import SearchOptions, check_batch
from cnnrnn.runtime.backend import Backend, Tensor, Tensors
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.search_inputs import SpecialTokens, start
from cnnrnn.runtime.select import POOL, SelectKind

__all__ = ["History", "Latest", "Search", "SpecialTokens", "decode"]


@dataclass(frozen=True)
class History:
    """All that a search left behind, on the host; T steps, B images, K beams, P positions.

    Attributes:
        tokens, parents: (T, B, K) int32; the token that each live beam got at each step, and the beam of the
            step before that it was added to.
        scores: (T, B, K) float32; each live beam's log-probability after that step.
        finished_scores, finished_logprobs: (B, K) float32, best first within each group of beams.
        finished_beams, finished_steps, finished_tokens: (B, K) int32: the beam the last token was added to,
            the number of tokens (0: an empty slot) and the last token.
        done: (B) bool; False where the deadline came first.
        faults: (B) int32: the step, from 1, in which an image's logits were not finite; 0 where they were.
        alignments: (T, B, K, P) float32, or None; row t belongs to the beams as they were before step t.
        options: what was searched with.
    """

    tokens: NDArray[np.int32]
    parents: NDArray[np.int32]
    scores: NDArray[np.float32]
    finished_scores: NDArray[np.float32]
    finished_logprobs: NDArray[np.float32]
    finished_beams: NDArray[np.int32]
    finished_steps: NDArray[np.int32]
    finished_tokens: NDArray[np.int32]
    done: NDArray[np.bool_]
    faults: NDArray[np.int32]
    alignments: NDArray[np.float32] | None
    options: SearchOptions


@dataclass(frozen=True)
class Latest:
    """One step of a search: (B, K) each, as in `History`; the pool is that after the step."""

    tokens: NDArray[np.int32]
    parents: NDArray[np.int32]
    scores: NDArray[np.float32]
    finished_scores: NDArray[np.float32]
    finished_beams: NDArray[np.int32]
    finished_steps: NDArray[np.int32]
    finished_tokens: NDArray[np.int32]


def decode(
    backend: Backend, images: NDArray[np.uint8], options: SearchOptions, special: SpecialTokens, clock: Clock
) -> History:
    """Search for the captions of ``images`` (B, H, W, 3) RGB.

    Args:
        options: checked already, by `cnnrnn.core.search.check`.
        clock: gets the stages ``encoder``, ``step``, ``select`` and ``backtrace`` (the copy to the host);
            ``deadline_ms`` counts from its start.

    Raises:
        BackendError: a graph failed.
        OptionsError: an option that was given for each image was given for another number of images.
        OptionsError, MissingDependencyError: there is no select graph of this kind.
    """
    search = Search(backend, images, options, special, clock)
    while search.advance():
        pass
    return search.history()


class Search:
    """A search that is taken step by step; the arguments are those of `decode`."""

    def __init__(
        self,
        backend: Backend,
        images: NDArray[np.uint8],
        options: SearchOptions,
        special: SpecialTokens,
        clock: Clock,
    ) -> None:
        check_batch(options, len(images))
        self._backend, self._options, self._clock = backend, options, clock
        batch, beams = len(images), options.beams
        self._kind = SelectKind.of(options, end_count=len(special.end), vocabulary=backend.vocabulary)
        backend.prepare(self._kind)
        with clock.stage("encoder"):
            encoded = backend.encode(images)
            self._memory, self._state = encoded.memory, backend.widen(encoded.state, beams)
        with clock.stage("select"):
            state, constants = start(self._kind, batch, options, special, backend.vocabulary)
            self._search = {name: backend.from_host(array) for name, array in state.items()}
            self._constants = {name: backend.from_host(array) for name, array in constants.items()}
            self._tokens = backend.from_host(np.full((batch, beams), special.start, np.int32))
            self._parents = backend.from_host(np.tile(np.arange(beams, dtype=np.int32), (batch, 1)))
        self._trail: list[tuple[Tensor, Tensor, Tensor, Tensor | None]] = []

    def advance(self) -> bool:
        """Take one step; False when it was the last: all images are done, or the deadline has passed."""
        backend, clock = self._backend, self._clock
        with clock.stage("step"):
            stepped = backend.step(self._tokens, self._parents, self._state, self._memory)
        with clock.stage("select"):
            inputs = {"logits": stepped.logits, **self._search, **self._constants}
            if self._kind.coverage:
                inputs |= self._coverage(stepped.alignment)
            found = backend.select(self._kind, inputs)
            self._search = {
                name[len("next_") :]: tensor for name, tensor in found.items() if name.startswith("next_")
            }
            self._tokens, self._parents, self._state = found["tokens"], found["parents"], stepped.state
            self._trail.append((self._tokens, self._parents, self._search["scores"], stepped.alignment))
            done = bool(backend.to_host(found["all_done"])[0])
        deadline = self._options.deadline_ms
        late = deadline is not None and clock.total_ms >= deadline
        return not (done or late or len(self._trail) >= self._options.longest)

    def latest(self) -> Latest:
        """What the last step did, copied to the host."""
        tokens, parents, scores, _ = self._trail[-1]
        names = ("finished_scores", "finished_beams", "finished_steps", "finished_tokens")
        host = self._backend.to_host
        return Latest(
            host(tokens), host(parents), host(scores), *(host(self._search[name]) for name in names)
        )

    def history(self) -> History:
        """All that the steps so far left behind, copied to the host."""
        backend = self._backend
        with self._clock.stage("backtrace"):
            tokens, parents, scores = (
                np.stack([backend.to_host(entry[index]) for entry in self._trail]) for index in range(3)
            )
            aligned = [backend.to_host(entry[3]) for entry in self._trail if entry[3] is not None]
            pool = {name: backend.to_host(self._search[name]) for name in POOL}
            return History(
                tokens,
                parents,
                scores,
                **pool,
                done=backend.to_host(self._search["done"]) > 0,
                faults=backend.to_host(self._search["faults"]),
                alignments=np.stack(aligned) if aligned else None,
                options=self._options,
            )

    def _coverage(self, alignment: Tensor | None) -> Tensors:
        """This step's alignment and, in the first step, a coverage of nothing in its shape."""
        if alignment is None:
            raise BackendError(
                f"coverage_penalty needs an alignment, and the decoder of {self._backend.name} gives none"
            )
        if self._trail:
            return {"alignment": alignment}
        nothing = np.zeros_like(self._backend.to_host(alignment))
        return {"alignment": alignment, "coverage": self._backend.from_host(nothing)}
