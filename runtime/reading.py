"""A line that was read along its columns: its characters, where they are, and how sure they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnrnn.core.manifest import ImageSpec
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.runtime.backtrace import Path
from cnnrnn.runtime.image import fitted


@dataclass(frozen=True)
class Character:
    """One character of a line.

    Attributes:
        text: it, as the vocabulary spells it.
        confidence: 0 to 1, the share of the line's probability that was left from this character's column on,
            up to the next one's: those of a line, multiplied, are the line's, unless one was cut to 1.
        left, right: edges in pixels of the picture as it was given, of the column in which the likeliest way
            to write the line begins the character; a column is narrower than most characters.
    """

    text: str
    confidence: float
    left: float
    right: float

    def to_dict(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {
            "text": self.text,
            "confidence": round(self.confidence, 6),
            "left": round(self.left, 2),
            "right": round(self.right, 2),
        }


@dataclass(frozen=True)
class Columns:
    """The columns of a picture that was fitted.

    Attributes:
        count: P, how many columns the encoder gives.
        height, width: of the picture as it was given, in pixels.
        image: how it was fitted.
    """

    count: int
    height: int
    width: int
    image: ImageSpec

    def edges(self, column: int) -> tuple[float, float]:
        """The left and the right edge of a column in the picture as it was given, in pixels."""
        place = fitted(self.height, self.width, self.image)
        pixels = self.image.width / self.count
        at = ((column + side) * pixels - place.left for side in (0, 1))
        left, right = (min(max(x * self.width / place.width, 0.0), float(self.width)) for x in at)
        return left, right


def read_characters(path: Path, blank: int, tokenizer: Tokenizer, columns: Columns) -> tuple[Character, ...]:
    """The characters of a hypothesis of one token a column, from left to right."""
    begins = np.flatnonzero(path.tokens != blank)
    if not len(begins):
        return ()
    # The blanks before the first character are its own.
    sums = np.add.reduceat(path.token_logprobs, [0, *begins[1:]])
    texts = tokenizer.tokens(path.tokens[begins].tolist())
    return tuple(
        Character(text, confidence_of(float(logprob)), *columns.edges(int(column)))
        for text, logprob, column in zip(texts, sums, begins, strict=True)
    )


def confidence_of(logprob: float) -> float:
    """The probability of a log-probability, which sums of float32 may bring above 0."""
    return float(np.exp(min(logprob, 0.0)))
