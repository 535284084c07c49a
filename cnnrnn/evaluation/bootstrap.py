"""How far a score would move with other pictures: percentile intervals of the bootstrap (Efron 1979)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnrnn.core.errors import OptionsError


@dataclass(frozen=True)
class Bootstrap:
    """Attributes:
    resamples: how often the pictures are drawn anew, with replacement; 0 gives no intervals.
    confidence: the share of the draws that an interval holds.
    seed: of the draws, by NumPy's PCG64; the same seed gives the same intervals.
    """

    resamples: int = 1000
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.resamples <= 1_000_000:
            raise OptionsError(f"resamples={self.resamples} must be from 0 to 1000000")
        if not 0 < self.confidence < 1:
            raise OptionsError(f"confidence={self.confidence} must be between 0 and 1")
        if self.seed < 0:
            raise OptionsError(f"seed={self.seed} must be 0 or more")

    def intervals(
        self, pictures: int, score: Callable[[NDArray[np.int64]], Mapping[str, float]]
    ) -> dict[str, tuple[float, float]]:
        """The lower and upper end of each score.

        Args:
            pictures: N, how many there are.
            score: gives the scores of a draw, by name, from (N,) int64: how often each picture was drawn.
        """
        if not self.resamples:
            return {}
        random = np.random.default_rng(self.seed)
        even = np.full(pictures, 1 / pictures)
        drawn = [score(random.multinomial(pictures, even)) for _ in range(self.resamples)]
        tails = (50 * (1 - self.confidence), 50 * (1 + self.confidence))
        ends = {name: np.percentile([scores[name] for scores in drawn], tails) for name in drawn[0]}
        return {name: (float(low), float(high)) for name, (low, high) in ends.items()}
