"""Beam search written plainly, as an oracle: lists of prefixes, one image, float64, no state, no pointers.

It follows what Transformers 5 documents and does in ``GenerationMixin._beam_search``. A step model is a
function from a prefix of tokens to the logits of the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

StepModel = Callable[[tuple[int, ...]], np.ndarray]
Change = Callable[[tuple[int, ...], np.ndarray], np.ndarray]


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
    change: Change | None = None,
    divisor: Callable[[int], float] | None = None,
    bonus: Callable[[tuple[int, ...]], float] = lambda tokens: 0.0,
) -> tuple[list[Found], int]:
    """The finished hypotheses, best first, and the number of steps taken.

    Args:
        change: log-probabilities after the options that change them, -inf for what may not come.
        divisor: of a length; ``length**length_penalty`` by default.
        bonus: added to a finished hypothesis's score.
    """
    divided = divisor or (lambda length: length**length_penalty)
    live: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    pool: list[Found] = []
    for length in range(1, max_length + 1):
        candidates = []
        for prefix, total in live:
            logprobs = log_softmax(model(prefix))
            if change is not None:
                logprobs = change(prefix, logprobs)
            for token, logprob in enumerate(logprobs):
                if token in ends and length - 1 < min_length:
                    continue
                if not np.isfinite(logprob):
                    continue
                candidates.append(((*prefix, token), total + float(logprob)))
        candidates.sort(key=lambda entry: (-entry[1], entry[0][-1]))
        candidates = candidates[: (1 + len(ends)) * beams]
        live = []
        for rank, (tokens, logprob) in enumerate(candidates):
            if tokens[-1] not in ends and length < max_length:
                live.append((tokens, logprob))
            elif rank < beams:
                pool.append(Found(tokens, logprob, logprob / divided(length) + bonus(tokens)))
        live = live[:beams]
        pool = sorted(pool, key=lambda found: -found.score)[:beams]
        if not live or length == max_length:
            break
        if len(pool) == beams:
            hoped_length = max_length if early_stopping == "never" and length_penalty > 0 else length
            if early_stopping is True or live[0][1] / divided(hoped_length) <= pool[-1].score:
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


def changes(
    start: int,
    *,
    repetition_penalty: float = 1.0,
    no_repeat_ngram_size: int = 0,
    suppress_tokens: tuple[int, ...] = (),
    bad_words_ids: tuple[tuple[int, ...], ...] = (),
    prefix: tuple[int, ...] = (),
    phrases: tuple[tuple[int, ...], ...] | None = None,
    ends: tuple[int, ...] = (),
) -> Change:
    """What the options do to the log-probabilities that follow a prefix, one token at a time."""

    banned = [words for words in bad_words_ids if not (len(words) == 1 and set(words) <= set(ends))]

    def change(before: tuple[int, ...], logprobs: np.ndarray) -> np.ndarray:
        fed, changed = (start, *before), logprobs.copy()
        for token in set(fed) if repetition_penalty != 1 else ():
            value = logprobs[token]
            changed[token] = value * repetition_penalty if value < 0 else value / repetition_penalty
        if len(before) < len(prefix):
            forced = np.full_like(changed, -np.inf)
            forced[prefix[len(before)]] = changed[prefix[len(before)]]
            return forced
        for token in range(len(changed)):
            after, n = (*fed, token), no_repeat_ngram_size
            seen = {after[place : place + n] for place in range(len(after) - n)}
            if n and len(after) >= n and after[-n:] in seen:
                changed[token] = -np.inf
            if token in suppress_tokens or any(after[-len(words) :] == words for words in banned):
                changed[token] = -np.inf
            if phrases is not None:
                whole = {(*phrase, end) for phrase in phrases for end in ends}
                if not any(phrase[: len(before) + 1] == (*before, token) for phrase in whole):
                    changed[token] = -np.inf
        return changed

    return change
