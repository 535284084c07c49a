"""Step models that are the same on every machine and with every version of NumPy: hashes of the prefix.

Golden answers need that; a generator of random numbers may change its stream from release to release.
"""

from __future__ import annotations

import hashlib

import numpy as np

from tests.runtime.reference_search import StepModel

PAD, END = 1, 2


def hashed_model(seed: int, vocabulary: int, spread: float = 4.0, end_bonus: float = 1.0) -> StepModel:
    """Logits even in -spread to spread, the end token's higher, and the padding's out of the question."""

    def logits(prefix: tuple[int, ...]) -> np.ndarray:
        digest = hashlib.shake_128(repr((seed, *map(int, prefix))).encode()).digest(4 * vocabulary)
        numbers = np.frombuffer(digest, "<u4").astype(np.float64) / 2**31 - 1
        numbers = numbers * spread
        numbers[END] += end_bonus
        numbers[PAD] = -50.0
        return numbers.astype(np.float32)

    return logits
