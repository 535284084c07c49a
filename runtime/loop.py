"""The decoding loop, the same for every backend: encode, then step and select until every image is done.

Nothing but one integer, "all done", crosses to the host between steps. The tokens, parents and scores of
each step are kept where they are and copied together at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnrnn.core.search import SearchOptions
from cnnrnn.runtime.backend import Backend, Tensor, Tensors
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.select import DEAD, EARLY_STOPPING_CODES, EMPTY

_STATE = (
    "scores",
    "finished_scores",
    "finished_logprobs",
    "finished_beams",
    "finished_steps",
    "finished_tokens",
    "done",
    "step",
)


@dataclass(frozen=True)
class SpecialTokens:
    """The ids that the loop itself has to know: the token fed first and those that end a caption."""

    start: int
    end: tuple[int, ...]


@dataclass(frozen=True)
class History:
    """All that a search left behind, on the host; T steps, B images, K beams, P positions.

    Attributes:
        tokens, parents: (T, B, K) int32; the token that each live beam got at each step, and the beam of the
            step before that it was added to.
        scores: (T, B, K) float32; each live beam's log-probability after that step.
        finished_scores, finished_logprobs: (B, K) float32, best first.
        finished_beams, finished_steps, finished_tokens: (B, K) int32: the beam the last token was added to,
            the number of tokens (0: an empty slot) and the last token.
        alignments: (T, B, K, P) float32, or None; row t belongs to the beams as they were before step t.
    """

    tokens: NDArray[np.int32]
    parents: NDArray[np.int32]
    scores: NDArray[np.float32]
    finished_scores: NDArray[np.float32]
    finished_logprobs: NDArray[np.float32]
    finished_beams: NDArray[np.int32]
    finished_steps: NDArray[np.int32]
    finished_tokens: NDArray[np.int32]
    alignments: NDArray[np.float32] | None


def decode(
    backend: Backend, images: NDArray[np.uint8], options: SearchOptions, special: SpecialTokens, clock: Clock
) -> History:
    """Search for the captions of ``images`` (B, H, W, 3) RGB.

    Args:
        options: checked already, by `cnnrnn.core.search.check`.
        clock: gets the stages ``encoder``, ``step``, ``select`` and ``backtrace`` (the copy to the host).

    Raises:
        BackendError: a graph failed.
        OptionsError, MissingDependencyError: there is no select graph of this width.
    """
    backend.prepare(options.beams)
    batch, beams = len(images), options.beams
    with clock.stage("encoder"):
        encoded = backend.encode(images)
        state = backend.widen(encoded.state, beams)
    with clock.stage("select"):
        search, constants = _start(backend, batch, options, special)
        tokens = backend.from_host(np.full((batch, beams), special.start, np.int32))
        parents = backend.from_host(np.tile(np.arange(beams, dtype=np.int32), (batch, 1)))
    trail: list[tuple[Tensor, Tensor, Tensor, Tensor | None]] = []
    for _ in range(options.max_length):
        with clock.stage("step"):
            stepped = backend.step(tokens, parents, state, encoded.memory)
        with clock.stage("select"):
            found = backend.select(beams, {"logits": stepped.logits, **search, **constants})
            search = {name: found[f"next_{name}"] for name in _STATE}
            tokens, parents, state = found["tokens"], found["parents"], stepped.state
            trail.append((tokens, parents, search["scores"], stepped.alignment))
            if backend.to_host(found["all_done"])[0]:
                break
    with clock.stage("backtrace"):
        return _collect(backend, trail, search)


def _start(
    backend: Backend, batch: int, options: SearchOptions, special: SpecialTokens
) -> tuple[Tensors, Tensors]:
    """The search's state before the first step, and the inputs that stay the same."""
    shape = (batch, options.beams)
    scores = np.full(shape, DEAD, np.float32)
    scores[:, 0] = 0.0
    # Greedy search ends with its first end token, as Transformers' does, whatever early_stopping says.
    stopping = True if options.beams == 1 else options.early_stopping
    state: dict[str, NDArray[Any]] = {
        "scores": scores,
        "finished_scores": np.full(shape, EMPTY, np.float32),
        "finished_logprobs": np.zeros(shape, np.float32),
        "finished_beams": np.zeros(shape, np.int32),
        "finished_steps": np.zeros(shape, np.int32),
        "finished_tokens": np.zeros(shape, np.int32),
        "done": np.zeros(batch, np.int32),
        "step": np.zeros(1, np.int32),
    }
    constants: dict[str, NDArray[Any]] = {
        "max_length": np.full(batch, options.max_length, np.int32),
        "min_length": np.full(1, options.min_length, np.int32),
        "length_penalty": np.full(1, options.length_penalty, np.float32),
        "early_stopping": np.full(1, EARLY_STOPPING_CODES[stopping], np.int32),
        "end_tokens": np.asarray(special.end, np.int32),
    }
    return (
        {name: backend.from_host(array) for name, array in state.items()},
        {name: backend.from_host(array) for name, array in constants.items()},
    )


def _collect(
    backend: Backend, trail: list[tuple[Tensor, Tensor, Tensor, Tensor | None]], search: Tensors
) -> History:
    tokens, parents, scores = (
        np.stack([backend.to_host(entry[index]) for entry in trail]) for index in range(3)
    )
    aligned = [backend.to_host(entry[3]) for entry in trail if entry[3] is not None]
    pool = {name: backend.to_host(search[name]) for name in _STATE if name.startswith("finished_")}
    return History(tokens, parents, scores, **pool, alignments=np.stack(aligned) if aligned else None)
