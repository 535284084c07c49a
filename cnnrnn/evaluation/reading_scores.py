"""Scores of texts that were read: edits by character and by word, counted by ``jiwer``.

Both sides are brought to Unicode's NFC, white space is one space within and none around. Case, accents and
punctuation count. Rates are of the whole set: all edits over all characters, or words, of the references, so
that a long line weighs more than a short one, and a rate can exceed 1.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnrnn.core.errors import DataError
from cnnrnn.core.extras import require
from cnnrnn.evaluation.bootstrap import Bootstrap


@dataclass(frozen=True)
class ReadingScores:
    """Scores over a set of lines.

    Attributes:
        pictures: how many, N.
        cer: character error rate: insertions, deletions and substitutions over the references' characters.
        wer: word error rate, of words between white space.
        exact_match: share of lines without an edit, from 0 to 1.
        intervals: (lower, upper) end of each score's bootstrap interval.
        each: (N,) float64 of each line: ``edits`` in characters, and ``accuracy``, 1 less its own CER, at
            least 0.
    """

    pictures: int
    cer: float
    wer: float
    exact_match: float
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    each: Mapping[str, NDArray[np.float64]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def judged(self) -> str:
        """How much was judged, in words."""
        return f"{self.pictures} lines"

    @property
    def values(self) -> dict[str, float]:
        """The scores by name."""
        return {"cer": self.cer, "wer": self.wer, "exact_match": self.exact_match}

    def to_dict(self) -> dict[str, Any]:
        """As the command line's ``--json`` has them."""
        intervals = {name: list(ends) for name, ends in self.intervals.items()}
        return {"pictures": self.pictures, **self.values, "intervals": intervals}


def normalised_line(text: str) -> str:
    """A line in the form in which lines are compared: NFC, one space within, none around."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def score_reading(
    texts: Sequence[str], references: Sequence[Sequence[str]], bootstrap: Bootstrap | None = None
) -> ReadingScores:
    """Score one text for each picture.

    Args:
        texts: N of them; an empty one is a line that was not read.
        references: what stands on each picture, at least one spelling; the one with fewest edits counts.
        bootstrap: of the intervals; the defaults, where there is none.

    Raises:
        DataError: the lengths differ, there is nothing to score, or a reference is empty.
        MissingDependencyError: the extra ``eval`` is not installed.
    """
    if len(texts) != len(references) or not texts:
        raise DataError(
            f"{len(texts)} texts cannot be scored against the references of {len(references)} lines"
        )
    counts = np.array([_counts(text, several) for text, several in zip(texts, references, strict=True)])
    edits, characters, word_edits, words = counts.T.astype(np.float64)

    def score(drawn: NDArray[np.int64]) -> dict[str, float]:
        return {
            "cer": float(drawn @ edits / (drawn @ characters)),
            "wer": float(drawn @ word_edits / (drawn @ words)),
            "exact_match": float(drawn @ (edits == 0)) / len(texts),
        }

    intervals = (bootstrap or Bootstrap()).intervals(len(texts), score)
    each = {"edits": edits, "accuracy": np.maximum(0.0, 1 - edits / characters)}
    return ReadingScores(len(texts), **score(np.ones(len(texts), np.int64)), intervals=intervals, each=each)


def _counts(text: str, references: Sequence[str]) -> tuple[int, int, int, int]:
    """Edits and characters, edits and words, by the nearest reference."""
    jiwer = require("jiwer", extra="eval")
    read = normalised_line(text)
    found = []
    for reference in map(normalised_line, references):
        if not reference:
            raise DataError("a line's reference is empty; leave such pictures out")
        by_character = jiwer.process_characters(reference, read)
        by_word = jiwer.process_words(reference, read)
        found.append((_edits(by_character), len(reference), _edits(by_word), len(reference.split())))
    return min(found)


def _edits(output: Any) -> int:
    return int(output.substitutions + output.deletions + output.insertions)
