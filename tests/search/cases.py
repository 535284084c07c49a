"""Random cases of what this search and Transformers both have: a model for each picture, and options.

Case n is the same everywhere: all is drawn from a generator seeded by n. The kinds take turns, so that any
stretch of cases has all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from cnnrnn.core.phrases import Phrases
from cnnrnn.core.search import SearchOptions
from tests.runtime.reference_search import StepModel, random_model

Draw = np.random.Generator

# Cases from this number on force tokens, and have options beside that.
MIXED = 800


@dataclass(frozen=True)
class Case:
    """``models`` holds one model for each picture."""

    kind: str
    models: Sequence[StepModel]
    vocabulary: int
    ends: tuple[int, ...]
    options: SearchOptions

    def __str__(self) -> str:
        return (
            f"{self.kind}, {len(self.models)} pictures, V={self.vocabulary}, ends={self.ends}, {self.options}"
        )


def case(number: int) -> Case:
    """Case ``number``."""
    draw = np.random.default_rng([2024, number])
    kind = list(_KINDS)[number % len(_KINDS)] if number < MIXED else "forced together"
    vocabulary = _choose(draw, (17, 23, 40, 64))
    ends = _choose(draw, ((2,), (2,), (2,), (2, 5), (1, 2, 6)))
    pictures = int(draw.integers(1, 4))
    options: dict[str, Any] = _lengths_and_widths(draw)
    _KINDS.get(kind, _forced_together)(draw, options, vocabulary, ends, pictures)
    options["n_best"] = options["beams"] if number % 3 else 1 + number // 3 % options["beams"]
    sharpness, bonus = _choose(draw, ((2.0, 1.0), (1.0, 1.0), (1.5, 2.5), (3.0, 2.0)))
    models = [
        cache(random_model(1000 * number + picture, vocabulary, ends, sharpness, bonus))
        for picture in range(pictures)
    ]
    return Case(kind, models, vocabulary, ends, SearchOptions(**options))


def _lengths_and_widths(draw: Draw) -> dict[str, Any]:
    longest = int(draw.integers(1, 10))
    return {
        "beams": _choose(draw, (1, 2, 3, 5, 8)),
        "max_length": longest,
        "min_length": min(_choose(draw, (0, 1, 1, 3, 5)), longest),
        "length_penalty": _choose(draw, (-1.0, -0.5, 0.0, 0.6, 1.0, 1.5, 2.0)),
        "early_stopping": _choose(draw, (False, True, "never")),
    }


def _plain(draw: Draw, options: dict, vocabulary: int, ends: tuple[int, ...], pictures: int) -> None:
    if draw.random() < 0.4:
        longest = draw.integers(max(1, options["min_length"]), 10, pictures)
        options["max_length"] = tuple(longest.tolist())


def _repetition(draw: Draw, options: dict, vocabulary: int, ends: tuple[int, ...], pictures: int) -> None:
    options["repetition_penalty"] = _choose(draw, (0.7, 1.1, 1.3, 2.0))


def _ngram(draw: Draw, options: dict, vocabulary: int, ends: tuple[int, ...], pictures: int) -> None:
    options["no_repeat_ngram_size"] = int(draw.integers(1, 5))
    options["max_length"] = int(draw.integers(6, 13))


def _bad_words(draw: Draw, options: dict, vocabulary: int, ends: tuple[int, ...], pictures: int) -> None:
    lengths = draw.choice((1, 2, 2, 2, 3), int(draw.integers(1, 4 * vocabulary)))
    words = [tuple(draw.integers(0, vocabulary, length).tolist()) for length in lengths]
    single = [word for word in words if len(word) == 1][: vocabulary // 4]
    options["bad_words_ids"] = tuple(dict.fromkeys([*single, *(word for word in words if len(word) > 1)]))


def _suppressed(draw: Draw, options: dict, vocabulary: int, ends: tuple[int, ...], pictures: int) -> None:
    count = int(draw.integers(1, vocabulary // 2))
    tokens = draw.choice(vocabulary, count, replace=False).tolist()
    options["suppress_tokens"] = tuple(token for token in tokens if token not in ends)


def _prefixed(draw: Draw, options: dict, vocabulary: int, ends: tuple[int, ...], pictures: int) -> None:
    options["max_length"] = int(draw.integers(3, 10))
    options["min_length"] = min(options["min_length"], options["max_length"])
    prefixes = tuple(_words(draw, int(draw.integers(0, 4)), vocabulary, ends) for _ in range(pictures))
    options["prefix"] = prefixes if draw.random() < 0.5 else prefixes[0]


def _phrased(draw: Draw, options: dict, vocabulary: int, ends: tuple[int, ...], pictures: int) -> None:
    sets = tuple(_phrases(draw, vocabulary, ends) for _ in range(pictures))
    options["phrases"] = sets if draw.random() < 0.5 else sets[0]
    options["max_length"] = 6
    options["min_length"] = int(draw.integers(0, 2))


def _together(draw: Draw, options: dict, vocabulary: int, ends: tuple[int, ...], pictures: int) -> None:
    """Several at once, which have to be applied in Transformers' order."""
    for add in (_repetition, _ngram, _bad_words, _suppressed):
        if draw.random() < 0.6:
            add(draw, options, vocabulary, ends, pictures)


def _forced_together(
    draw: Draw, options: dict, vocabulary: int, ends: tuple[int, ...], pictures: int
) -> None:
    """A prefix with phrases that begin so, or with tokens that never come; and a repetition penalty."""
    _phrased(draw, options, vocabulary, ends, pictures)
    sets = SearchOptions(1, 1, phrases=options["phrases"]).phrases_of(pictures)
    phrases = [entry.sequences[int(draw.integers(len(entry)))] for entry in sets]
    prefixes = tuple(phrase[: int(draw.integers(0, len(phrase) + 1))] for phrase in phrases)
    options["prefix"] = prefixes
    if draw.random() < 0.5:
        del options["phrases"]
        _suppressed(draw, options, vocabulary, ends, pictures)
        forced = {token for prefix in prefixes for token in prefix}
        options["suppress_tokens"] = tuple(t for t in options["suppress_tokens"] if t not in forced)
    if draw.random() < 0.5:
        _repetition(draw, options, vocabulary, ends, pictures)


_KINDS: dict[str, Callable[[Draw, dict, int, tuple[int, ...], int], None]] = {
    "plain": _plain,
    "repetition": _repetition,
    "n-gram": _ngram,
    "bad words": _bad_words,
    "suppressed": _suppressed,
    "prefix": _prefixed,
    "phrases": _phrased,
    "together": _together,
}


def _phrases(draw: Draw, vocabulary: int, ends: tuple[int, ...]) -> Phrases:
    few = _words(draw, int(draw.integers(3, vocabulary - 3)), vocabulary, ends)
    return Phrases(
        draw.choice(few, int(draw.integers(1, 6))).tolist() for _ in range(int(draw.integers(1, 60)))
    )


def _words(draw: Draw, count: int, vocabulary: int, ends: tuple[int, ...]) -> tuple[int, ...]:
    others = [token for token in range(vocabulary) if token not in ends]
    return tuple(draw.choice(others, count).tolist())


def _choose(draw: Draw, options: tuple) -> Any:
    return options[int(draw.integers(len(options)))]
