"""From a search's history to its hypotheses: each is followed backwards, once, through its parents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnrnn.runtime.loop import History


@dataclass(frozen=True)
class Path:
    """One finished hypothesis of L tokens.

    Attributes:
        tokens: (L) int32, without the start token; the last one ends the caption unless it was cut off.
        logprob: sum of the tokens' log-probabilities.
        score: ``logprob / L**length_penalty``, what hypotheses are ranked by.
        token_logprobs: (L) float32, differences of the beam's cumulative float32 scores.
        alignment: (L, P) float32 or None; row t is where the decoder looked when it chose token t.
    """

    tokens: NDArray[np.int32]
    logprob: float
    score: float
    token_logprobs: NDArray[np.float32]
    alignment: NDArray[np.float32] | None


def trace_back(history: History, image: int, count: int) -> list[Path]:
    """The best ``count`` finished hypotheses of one image, or all where there are fewer, best first."""
    found = int(np.count_nonzero(history.finished_steps[image]))
    return [_path(history, image, slot) for slot in range(min(count, found))]


def _path(history: History, image: int, slot: int) -> Path:
    length = int(history.finished_steps[image, slot])
    tokens = np.empty(length, np.int32)
    cumulative = np.empty(length, np.float32)
    beams = np.empty(length, np.int32)  # the beam that each token was added to
    tokens[-1] = history.finished_tokens[image, slot]
    cumulative[-1] = history.finished_logprobs[image, slot]
    beams[-1] = history.finished_beams[image, slot]
    for step in range(length - 2, -1, -1):
        beam = beams[step + 1]
        tokens[step] = history.tokens[step, image, beam]
        cumulative[step] = history.scores[step, image, beam]
        beams[step] = history.parents[step, image, beam]
    alignment = None
    if history.alignments is not None:
        alignment = history.alignments[np.arange(length), image, beams]
    return Path(
        tokens=tokens,
        logprob=float(cumulative[-1]),
        score=float(history.finished_scores[image, slot]),
        token_logprobs=np.diff(cumulative, prepend=np.float32(0)),
        alignment=alignment,
    )
