"""Scores of answers to questions: VQA's accuracy against several people's answers, and plain equality.

VQA's accuracy (Antol et al. 2015) of an answer is min(matches / 3, 1) among nine of ten people, averaged over
who is left out, after both sides were brought to one spelling as its evaluation does: lower case, no articles
and punctuation, numbers up to ten as digits, contractions with their apostrophes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnrnn.core.errors import DataError
from cnnrnn.evaluation.bootstrap import Bootstrap

PEOPLE = 10
"""Answers that VQA has of each question; with fewer, an answer that anybody gave is right."""

_AGREEING = 3
_ARTICLES = frozenset({"a", "an", "the"})
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DIGITS = {"none": "0", **{word: str(number) for number, word in enumerate(_NUMBERS)}}
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_POINT = re.compile(r"(?<!\d)\.(?!\d)")

_NEGATED = "ai are ca could did does do had has have is might must need ought sha should was were wo would"
_SUBJECTS = "he I it she somebody someone something that there they we what when where who why you y'all"
_ENDINGS = "'d 'd've 'll 's 've 're"
_OTHERS = (
    "I'm could've how'd how'll how's let's ma'am might've must've not've o'clock should've 'twas would've"
)


def _contractions() -> dict[str, str]:
    """English contractions, by how they are spelt with an apostrophe left out, or all."""
    words = [f"{verb}n't{ending}" for verb in _NEGATED.split() for ending in ("", "'ve")]
    words += [subject + ending for subject in _SUBJECTS.split() for ending in _ENDINGS.split()]
    # What is a word of its own without the apostrophe stays as it is.
    spared = {"hell", "ill", "id", "its", "shell", "shed", "wed", "well", "were", "whore", "cant've"}
    table: dict[str, str] = {}
    for word in (*words, *_OTHERS.split()):
        marks = [place for place, letter in enumerate(word) if letter == "'"]
        for count in range(1, len(marks) + 1):
            for left_out in combinations(marks, count):
                spelt = "".join(letter for place, letter in enumerate(word) if place not in left_out)
                if spelt.lower() not in spared:
                    table.setdefault(spelt.lower(), word.lower())
    return table


_CONTRACTIONS = _contractions()


def normalised(answer: str) -> str:
    """An answer in the one spelling that answers are compared in."""
    text = re.sub(r"\s+", " ", answer).strip()
    for mark in _PUNCTUATION:
        beside_space = f"{mark} " in text or f" {mark}" in text
        text = text.replace(mark, "" if beside_space or _COMMA_IN_NUMBER.search(answer) else " ")
    text = _POINT.sub("", text).lower()
    words = (_DIGITS.get(word, word) for word in text.split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def vqa_accuracy(answer: str, answers: Sequence[str]) -> float:
    """VQA's accuracy of one answer, from 0 to 1.

    Args:
        answers: of several people to the question; of fewer than `PEOPLE` any one will do.
    """
    given, others = normalised(answer), [normalised(text) for text in answers]
    matches = others.count(given)
    if len(answers) < PEOPLE:
        return float(matches > 0)
    left = [matches - (other == given) for other in others]
    return sum(min(count / _AGREEING, 1.0) for count in left) / len(left)


@dataclass(frozen=True)
class AnswerScores:
    """Scores over a set of questions.

    Attributes:
        questions: how many, N.
        accuracy: VQA's, from 0 to 1.
        exact_match: share of answers equal to somebody's to the letter.
        intervals: (lower, upper) end of each score's bootstrap interval.
        each: (N,) float64 of each question.
    """

    questions: int
    accuracy: float
    exact_match: float
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    each: Mapping[str, NDArray[np.float64]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def judged(self) -> str:
        """How much was judged, in words."""
        return f"{self.questions} questions"

    @property
    def values(self) -> dict[str, float]:
        """The scores by name."""
        return {"accuracy": self.accuracy, "exact_match": self.exact_match}

    def to_dict(self) -> dict[str, Any]:
        """As the command line's ``--json`` has them."""
        intervals = {name: list(ends) for name, ends in self.intervals.items()}
        return {"questions": self.questions, **self.values, "intervals": intervals}


def score_answers(
    given: Sequence[str], answers: Sequence[Sequence[str]], bootstrap: Bootstrap | None = None
) -> AnswerScores:
    """Score one answer for each question.

    Args:
        given: N of them.
        answers: of people to each, at least one.
        bootstrap: of the intervals; the defaults, where there is none.

    Raises:
        DataError: the lengths differ, or there is nothing to score.
    """
    if len(given) != len(answers) or not given:
        raise DataError(f"{len(given)} answers cannot be scored against those to {len(answers)} questions")
    pairs = list(zip(given, answers, strict=True))
    each = {
        "accuracy": np.array([vqa_accuracy(text, texts) for text, texts in pairs]),
        "exact_match": np.array([text in texts for text, texts in pairs], np.float64),
    }

    def score(drawn: NDArray[np.int64]) -> dict[str, float]:
        return {name: float(drawn @ values) / len(pairs) for name, values in each.items()}

    intervals = (bootstrap or Bootstrap()).intervals(len(pairs), score)
    whole = score(np.ones(len(pairs), np.int64))
    return AnswerScores(len(pairs), **whole, intervals=intervals, each=each)
