"""The probability that a bundle's columns give to a text, of all ways to write it: CTC's forward sums."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cnnrnn.runtime.backend import Backend


def columns_of(backend: Backend, image: NDArray[np.uint8], count: int, start: int) -> NDArray[np.float64]:
    """The log-probabilities of each column of a picture (1, H, W, 3) uint8 RGB, (P, V)."""
    encoded = backend.encode(image)
    state = backend.widen(encoded.state, 1)
    tokens = backend.from_host(np.full((1, 1), start, np.int32))
    parents = backend.from_host(np.zeros((1, 1), np.int32))
    rows = []
    for _ in range(count):
        stepped = backend.step(tokens, parents, state, encoded.memory)
        state = stepped.state
        rows.append(backend.to_host(stepped.logits)[0, 0].astype(np.float64))
    logits = np.stack(rows)
    shifted = logits - logits.max(axis=1, keepdims=True)
    logprobs: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logprobs


def text_logprob(logprobs: NDArray[np.float64], text: Sequence[int], blank: int) -> float:
    """The log-probability of a text (Graves et al. 2006, section 4.1), -inf where it does not fit.

    Args:
        logprobs: (P, V), of each column.
        text: its tokens, without blanks.
    """
    labels = np.full(2 * len(text) + 1, blank)
    labels[1::2] = text
    # A character may follow the one before without a blank between, where they differ.
    skips = np.zeros(len(labels), bool)
    skips[3::2] = labels[3::2] != labels[1:-2:2]
    sums = np.full(len(labels), -np.inf)
    sums[:2] = logprobs[0, labels[:2]]
    for row in logprobs[1:]:
        by_one = np.append(-np.inf, sums[:-1])
        by_two = np.where(skips, np.append([-np.inf, -np.inf], sums[:-2])[: len(labels)], -np.inf)
        sums = np.logaddexp(np.logaddexp(sums, by_one), by_two) + row[labels]
    return float(np.logaddexp.reduce(sums[-2:]))
