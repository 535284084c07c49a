"""The options of the search.

Names and meanings are those of Transformers' ``GenerationConfig`` where it has the option: ``beams`` is
``num_beams``, ``max_length`` is ``max_new_tokens`` (the start token is not counted, the end token is),
``min_length`` is ``min_new_tokens`` and ``n_best`` is ``num_return_sequences``. Which values and which
combinations are refused is said in one place, `cnnrnn.core.search_rules`, the ranges in
`cnnrnn.core.search_limits`.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar

from cnnrnn.core.errors import OptionsError
from cnnrnn.core.manifest import Manifest
from cnnrnn.core.search_limits import KEYWORDS, MAX_BEAMS, MAX_LENGTH, MAX_PENALTY, Wording
from cnnrnn.core.search_rules import check, check_batch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Unpack

    from cnnrnn.core.phrases import Phrases

__all__ = [
    "MAX_BEAMS",
    "MAX_LENGTH",
    "MAX_PENALTY",
    "EarlyStopping",
    "LengthPenaltyType",
    "SearchOptions",
    "SearchSettings",
    "check",
    "check_batch",
    "check_names",
    "options_for",
]

EarlyStopping = bool | Literal["never"]
LengthPenaltyType = Literal["length", "gnmt"]
Value = TypeVar("Value")
Number = TypeVar("Number", float, "NDArray[np.float64]")

# What Transformers calls them.
_OTHER_NAMES = {
    "num_beams": "beams",
    "max_new_tokens": "max_length",
    "min_new_tokens": "min_length",
    "num_return_sequences": "n_best",
}


@dataclass(frozen=True)
class SearchOptions:
    """How to search for the best token sequence.

    Length and score:

    Attributes:
        beams: K, the beam width; 1 is greedy search.
        max_length: most tokens in an answer, the end token included; a tuple gives each image of a batch its
            own.
        min_length: tokens that have to come before the end token: 1 forbids an empty caption, 0 forbids
            nothing.
        length_penalty: p in ``score = log-probability / length**p``; above 0 favours long answers, 0 ranks
            by log-probability alone, below 0 favours short ones.
        early_stopping: ``True`` stops an image at its K-th finished hypothesis; ``False`` stops when the
            best live beam, at its present length, cannot beat the worst of K finished ones; ``"never"``
            stops when no live beam can, at any length up to ``max_length``.
        n_best: how many hypotheses an answer lists, at most K.
        length_penalty_type: ``"length"`` as above, or ``"gnmt"``: ``score = log-probability /
            ((5 + length) / 6)**p`` (Wu et al., arXiv 1609.08144, equation 14).
        coverage_penalty: GNMT's beta: a finished hypothesis gets ``beta * sum over positions of
            log(min(attention it got in all steps, 1))`` added to its score; 0 is none. Needs a model with an
            alignment.
        repetition_penalty: a token that came before, the start token included, has its log-probability
            multiplied by this (Keskar et al., arXiv 1909.05858); 1 is none. As in Transformers, greedy
            search and sampling apply it to raw logits instead, where a positive one is divided, and the
            score then is the model's own log-probability.
        no_repeat_ngram_size: no n tokens in a row come twice, n from 1 to 4; 0 allows them.
        suppress_tokens: token ids that never come.
        bad_words_ids: sequences of token ids that never come; one that is a single end token is ignored.
        prefix: token ids that every answer starts with, or one tuple of them for each image. They are a part
            of the answer, and count in its length and its log-probability.
        num_beam_groups: G groups of K / G beams, searched one after the other in each step.
        diversity_penalty: what a token's log-probability loses for each beam of the groups before that chose
            it in this step (Vijayakumar et al., arXiv 1610.02424, Hamming diversity).
        start: the token that is fed first, which is no part of the answer, or one for each image; None is the
            bundle's own. A language asked for is such a token.
        phrases: the only answers there may be, or one `Phrases` for each image.
        do_sample: draw K answers independently instead of searching, and rank them by score.
        temperature: logits are divided by it before a draw.
        top_k: only the k likeliest tokens are drawn (Fan et al., arXiv 1805.04833); 0 is all.
        top_p: only the likeliest tokens that make up this probability together (Holtzman et al.,
            arXiv 1904.09751), of the 3,840 likeliest at most where ``top_k`` is 0; 1 is all.
        min_p: only tokens with this share of the likeliest one's probability (Nguyen et al.,
            arXiv 2407.01082); 0 is all.
        seed: of the draws, 0 where it is None; the same seed gives the same answer, alone or in a batch.
        deadline_ms: when to stop with the best found so far, counted from when the graphs are ready; at least
            one step is made, of each part of a list that is too long for one batch. None is no deadline.
    """

    beams: int
    max_length: int | tuple[int, ...]
    min_length: int = 1
    length_penalty: float = 1.0
    early_stopping: EarlyStopping = False
    n_best: int = 1
    length_penalty_type: LengthPenaltyType = "length"
    coverage_penalty: float = 0.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    suppress_tokens: tuple[int, ...] = ()
    bad_words_ids: tuple[tuple[int, ...], ...] = ()
    prefix: tuple[int, ...] | tuple[tuple[int, ...], ...] = ()
    start: int | tuple[int, ...] | None = None
    num_beam_groups: int = 1
    diversity_penalty: float = 0.0
    phrases: Phrases | tuple[Phrases, ...] | None = None
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int | None = None
    deadline_ms: float | None = None

    @property
    def longest(self) -> int:
        """The largest ``max_length``."""
        return max(self.max_length) if isinstance(self.max_length, tuple) else self.max_length

    def divisor(self, length: Number) -> Number:
        """What the log-probability of an answer of this length, or of each of these, is divided by."""
        offset = 5 if self.length_penalty_type == "gnmt" else 0
        ratio: Any = (offset + length) / (offset + 1)
        divided: Number = ratio**self.length_penalty
        return divided

    def max_lengths(self, images: int) -> tuple[int, ...]:
        """The maximum length of each image of a batch."""
        return self.max_length if isinstance(self.max_length, tuple) else (self.max_length,) * images

    def starts(self, images: int, usual: int) -> tuple[int, ...]:
        """The token that is fed first for each image of a batch, ``usual`` where none is asked for."""
        start = usual if self.start is None else self.start
        return start if isinstance(start, tuple) else (start,) * images

    def prefixes(self, images: int) -> tuple[tuple[int, ...], ...]:
        """The forced tokens of each image of a batch."""
        prefix: tuple[Any, ...] = self.prefix
        return prefix if prefix and isinstance(prefix[0], tuple) else (prefix,) * images

    def phrases_of(self, images: int) -> tuple[Phrases, ...]:
        """The phrases of each image of a batch; call it where there are any."""
        if self.phrases is None:
            return ()
        return self.phrases if isinstance(self.phrases, tuple) else (self.phrases,) * images

    def of_images(self, indices: Sequence[int]) -> SearchOptions:
        """The options of some images of a batch, where an option may have a value for each."""

        def chosen(value: Value) -> Value:
            per_image = isinstance(value, tuple) and value and not isinstance(value[0], int)
            return tuple(value[index] for index in indices) if per_image else value  # type: ignore[index, return-value]

        def numbers(value: Any) -> Any:
            return tuple(value[index] for index in indices) if isinstance(value, tuple) else value

        return dataclasses.replace(
            self,
            max_length=numbers(self.max_length),
            start=numbers(self.start),
            prefix=chosen(self.prefix),
            phrases=chosen(self.phrases),
        )


class SearchSettings(TypedDict, total=False):
    """`SearchOptions` as keywords of a call: what is not given, or None, is the bundle's or the usual value.

    Lists, and arrays of NumPy, may be given for tuples.
    """

    beams: int | None
    max_length: int | Sequence[int] | None
    min_length: int | None
    length_penalty: float | None
    early_stopping: EarlyStopping | None
    n_best: int | None
    length_penalty_type: LengthPenaltyType | None
    coverage_penalty: float | None
    repetition_penalty: float | None
    no_repeat_ngram_size: int | None
    suppress_tokens: Sequence[int] | None
    bad_words_ids: Sequence[Sequence[int]] | None
    prefix: str | Sequence[int] | Sequence[str] | Sequence[Sequence[int]] | None
    num_beam_groups: int | None
    diversity_penalty: float | None
    phrases: Phrases | Sequence[Phrases] | None
    do_sample: bool | None
    temperature: float | None
    top_k: int | None
    top_p: float | None
    min_p: float | None
    seed: int | None
    deadline_ms: float | None


def options_for(
    manifest: Manifest,
    *,
    wording: Wording = KEYWORDS,
    start: int | tuple[int, ...] | None = None,
    **settings: Unpack[SearchSettings],
) -> SearchOptions:
    """The manifest's defaults with the given settings over them, checked.

    ``n_best`` is the beam width where it is not given.

    Args:
        wording: how a message names an option.
        start: as `SearchOptions` has it; a bundle with languages starts with its default one's.

    Raises:
        OptionsError: as `check` and `check_names`.
    """
    check_names(settings, SearchSettings.__optional_keys__)
    defaults = manifest.search
    given: dict[str, Any] = {name: _frozen(value) for name, value in settings.items() if value is not None}
    beams = given.get("beams", defaults.beams)
    taken = {
        "beams": beams,
        "n_best": beams,
        "max_length": defaults.max_length,
        "min_length": defaults.min_length,
        "length_penalty": defaults.length_penalty,
        "start": manifest.start if start is None and manifest.languages is not None else start,
    }
    options = SearchOptions(**{**taken, **given})
    check(options, manifest, wording)
    return options


def check_names(given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse an option that there is not.

    Raises:
        OptionsError: naming it and the one that was meant, where that can be guessed.
    """
    names = sorted(known)
    for name in given:
        if name not in names:
            meant = [_OTHER_NAMES.get(name, ""), *difflib.get_close_matches(name, names, n=1)]
            near = next((close for close in meant if close in names), None)
            advice = f"did you mean {near}?" if near else f"there are {', '.join(names)}"
            raise OptionsError(f"there is no option {name!r}; {advice}")


def _frozen(value: Any) -> Any:
    """Lists and arrays, also in lists, as tuples of Python's own numbers."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return tuple(_frozen(item) for item in value) if isinstance(value, (list, tuple, range)) else value
