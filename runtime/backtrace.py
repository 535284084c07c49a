"""From a search's history to its hypotheses: each is followed backwards, once, through its parents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnrnn.runtime.loop import History
from cnnrnn.runtime.select import DEAD


@dataclass(frozen=True)
class Path:
    """One hypothesis of L tokens.

    Attributes:
        tokens: (L) int32, without the start token; the last one ends the caption unless it was cut off.
        logprob: sum of the tokens' log-probabilities, as the search counts them.
        score: what hypotheses are ranked by: ``logprob`` over the length penalty, and the coverage penalty.
        token_logprobs: (L) float32, differences of the beam's cumulative float32 scores.
        alignment: (L, P) float32 or None; row t is where the decoder looked when it chose token t.
    """

    tokens: NDArray[np.int32]
    logprob: float
    score: float
    token_logprobs: NDArray[np.float32]
    alignment: NDArray[np.float32] | None


def trace_back(history: History, image: int, count: int) -> list[Path]:
    """The best ``count`` finished hypotheses of one image, or all where there are fewer, best first.

    Where none is finished, the likeliest live prefix alone, whose score is its log-probability over the
    length penalty; it may have no token at all, and an image whose logits were not finite has no hypothesis.
    A line whose columns were all read without a phrase has an empty one: what was read is none of them.
    """
    if history.faults[image]:
        return []
    # Each group of beams has its own best first.
    order = np.argsort(-history.finished_scores[image], kind="stable")
    slots = [int(slot) for slot in order if history.finished_steps[image, slot]]
    if not slots and history.columns and history.done[image]:
        return [_path(history, image, beam=0, before=0, last=None, score=0.0)]
    if not slots:
        return [_live_path(history, image)]
    return [_finished_path(history, image, slot) for slot in slots[:count]]


def _finished_path(history: History, image: int, slot: int) -> Path:
    return _path(
        history,
        image,
        beam=int(history.finished_beams[image, slot]),
        before=int(history.finished_steps[image, slot]) - 1,
        last=(int(history.finished_tokens[image, slot]), float(history.finished_logprobs[image, slot])),
        score=float(history.finished_scores[image, slot]),
    )


def _live_path(history: History, image: int) -> Path:
    """The likeliest beam of the last step in which one was alive."""
    alive = (history.scores[:, image] > DEAD / 2).any(axis=1)
    steps = int(np.count_nonzero(alive))  # once none is alive, none ever is
    beam = int(history.scores[steps - 1, image].argmax()) if steps else 0
    logprob = float(history.scores[steps - 1, image, beam]) if steps else 0.0
    score = logprob / history.options.divisor(steps) if steps else 0.0
    return _path(history, image, beam=beam, before=steps, last=None, score=score)


def _path(
    history: History, image: int, *, beam: int, before: int, last: tuple[int, float] | None, score: float
) -> Path:
    """Follow ``beam``, as it was after ``before`` steps, to the start; ``last`` was added to it."""
    length = before + (last is not None)
    tokens = np.empty(length, np.int32)
    cumulative = np.empty(length, np.float32)
    beams = np.empty(length, np.int32)  # the beam that each token was added to
    if last is not None:
        tokens[-1], cumulative[-1] = last
        beams[-1] = beam
    for step in range(before - 1, -1, -1):
        tokens[step] = history.tokens[step, image, beam]
        cumulative[step] = history.scores[step, image, beam]
        beams[step] = beam = int(history.parents[step, image, beam])
    alignment = None
    if history.alignments is not None:
        alignment = history.alignments[np.arange(length), image, beams]
    return Path(
        tokens=tokens,
        logprob=float(cumulative[-1]) if length else 0.0,
        score=score,
        token_logprobs=np.diff(cumulative, prepend=np.float32(0)),
        alignment=alignment,
    )
