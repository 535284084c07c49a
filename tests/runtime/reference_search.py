"""Beam search written plainly, as an oracle: lists of prefixes, one image, float64, no state, no pointers.

It follows what Transformers 5 documents and does in ``GenerationMixin._beam_search``. A step model is a
function from a prefix of tokens to the logits of the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

StepModel = Callable[[tuple[int, ...]], np.ndarray]


@dataclass(frozen=True)
class Found:
    tokens: tuple[int, ...]
    logprob: float
    score: float


def log_softmax(logits: np.ndarray) -> np.ndarray:
    wide = logits.astype(np.float64) - logits.max()
    return wide - np.log(np.exp(wide).sum())


def beam_search(
    model: StepModel,
    *,
    beams: int,
    ends: tuple[int, ...],
    max_length: int,
    min_length: int = 0,
    length_penalty: float = 1.0,
    early_stopping: bool | str = False,
) -> tuple[list[Found], int]:
    """The finished hypotheses, best first, and the number of steps taken."""
    live: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    pool: list[Found] = []
    for length in range(1, max_length + 1):
        candidates = []
        for prefix, total in live:
            logprobs = log_softmax(model(prefix))
            for token, logprob in enumerate(logprobs):
                if token in ends and length - 1 < min_length:
                    continue
                candidates.append(((*prefix, token), total + float(logprob)))
        candidates.sort(key=lambda entry: -entry[1])
        candidates = candidates[: (1 + len(ends)) * beams]
        live = []
        for rank, (tokens, logprob) in enumerate(candidates):
            if tokens[-1] not in ends and length < max_length:
                live.append((tokens, logprob))
            elif rank < beams:
                pool.append(Found(tokens, logprob, logprob / length**length_penalty))
        live = live[:beams]
        pool = sorted(pool, key=lambda found: -found.score)[:beams]
        if not live or length == max_length:
            break
        if len(pool) == beams:
            hoped_length = max_length if early_stopping == "never" and length_penalty > 0 else length
            if early_stopping is True or live[0][1] / hoped_length**length_penalty <= pool[-1].score:
                break
    return pool, length


def random_model(
    seed: int, vocabulary: int, ends: tuple[int, ...], sharpness: float = 2.0, end_bonus: float = 1.0
) -> StepModel:
    """Logits that depend on the whole prefix, the same for the same prefix, with ends now and then likely."""

    def logits(prefix: tuple[int, ...]) -> np.ndarray:
        numbers = np.random.default_rng([seed, 77, *prefix]).normal(size=vocabulary) * sharpness
        numbers[list(ends)] += end_bonus
        return numbers.astype(np.float32)

    return logits
