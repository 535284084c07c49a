"""Scores of captions against what people wrote, by the field's own programs.

BLEU is ``sacrebleu``'s (Post 2018), from sums that a bootstrap can draw anew; ROUGE-L and CIDEr-D are
``pycocoevalcap``'s, as the COCO caption challenge computes them. A test holds that the two agree on BLEU.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnrnn.core.errors import DataError
from cnnrnn.core.extras import require
from cnnrnn.evaluation.bootstrap import Bootstrap
from cnnrnn.evaluation.java import NOT_ASKED, Scored, Texts, java_scores
from cnnrnn.evaluation.words import check_tokenizer, split_words

METRICS = (
    "exact_match",
    "bleu_1",
    "bleu_2",
    "bleu_3",
    "bleu_4",
    "rouge_l",
    "meteor",
    "cider",
    "oracle_cider",
    "spice",
)
"""In the order in which they are shown."""

ORDERS = 4
_Each = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class ScoreOptions:
    """How captions are scored.

    Attributes:
        tokenizer: one of :data:`cnnrnn.evaluation.words.TOKENIZERS`.
        java: whether METEOR and SPICE are computed where they can be; they take half a minute to load.
        bootstrap: of the intervals.
    """

    tokenizer: str = "plain"
    java: bool = False
    bootstrap: Bootstrap = field(default_factory=Bootstrap)


@dataclass(frozen=True)
class CaptionScores:
    """Scores over a set of pictures; None where a metric was left out.

    Attributes:
        pictures: how many, N.
        exact_match: share of captions equal to a reference to the letter, from 0 to 1.
        bleu_1, bleu_2, bleu_3, bleu_4: corpus BLEU of up to that many words (Papineni et al. 2002), from 0
            to 1, unsmoothed, with the closest reference's length.
        rouge_l: ROUGE-L with beta 1.2 (Lin 2004), from 0 to 1.
        cider: CIDEr-D (Vedantam et al. 2015), from 0 to 10; words are weighted by the references of these
            pictures, so it is 0 where there is one picture alone.
        oracle_cider: the same of the best of each picture's hypotheses, whatever their rank.
        meteor, spice: from 0 to 1; see :func:`cnnrnn.evaluation.java.java_scores`.
        tokenizer: what split the words.
        intervals: (lower, upper) end of each score's bootstrap interval. CIDEr's word weights stay those of
            all pictures; METEOR's interval is that of the pictures' mean, moved to the score.
        left_out: the reason for each metric that was.
        each: (N,) float64 of each picture, for the metrics that are a mean of them.
    """

    pictures: int
    exact_match: float
    bleu_1: float
    bleu_2: float
    bleu_3: float
    bleu_4: float
    rouge_l: float
    cider: float
    oracle_cider: float | None = None
    meteor: float | None = None
    spice: float | None = None
    tokenizer: str = "plain"
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    each: Mapping[str, NDArray[np.float64]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def judged(self) -> str:
        """How much was judged, in words."""
        return f"{self.pictures} pictures"

    @property
    def values(self) -> dict[str, float]:
        """The scores that there are, by name, in the order of :data:`METRICS`."""
        return {name: value for name in METRICS if (value := getattr(self, name)) is not None}

    def to_dict(self) -> dict[str, Any]:
        """As the command line's ``--json`` has them."""
        return {
            "pictures": self.pictures,
            **self.values,
            "intervals": {name: list(ends) for name, ends in self.intervals.items()},
            "tokenizer": self.tokenizer,
            "left_out": dict(self.left_out),
        }


def check_scoring(options: ScoreOptions) -> None:
    """Refuses, before any work, what could only fail after the last picture.

    Raises:
        OptionsError: an unknown tokenizer.
        MissingDependencyError: the extra ``eval`` is not installed, or the tokenizer's Java.
    """
    for package in ("sacrebleu", "pycocoevalcap"):
        require(package, extra="eval")
    check_tokenizer(options.tokenizer)


def score_captions(
    captions: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    hypotheses: Sequence[Sequence[str]] | None = None,
    options: ScoreOptions | None = None,
) -> CaptionScores:
    """Scores one caption per picture against its references.

    Args:
        captions: N of them.
        references: of each picture, at least one.
        hypotheses: of each picture all that the search gave, for ``oracle_cider``; may be empty.
        options: the defaults, where there are none.

    Raises:
        DataError: the lengths differ, or there is nothing to score.
        MissingDependencyError: as :func:`check_scoring`.
    """
    options = options or ScoreOptions()
    _check_lengths(captions, references, hypotheses)
    check_scoring(options)
    truth = dict(enumerate(_split_each(references, options.tokenizer)))
    given = dict(enumerate(_split_each([[text] for text in captions], options.tokenizer)))
    exact = [text in texts for text, texts in zip(captions, references, strict=True)]
    each: _Each = {
        "exact_match": np.array(exact, np.float64),
        "rouge_l": _mean_metric("rouge.rouge", "Rouge", truth, given),
        "cider": _cider(truth, given),
    }
    if hypotheses is not None:
        each["oracle_cider"] = _oracle(truth, each["cider"], _split_each(hypotheses, options.tokenizer))
    java: dict[str, Scored] = {}
    left_out: dict[str, str] = {"meteor": NOT_ASKED, "spice": NOT_ASKED}
    if options.java:
        java, left_out = java_scores(truth, given)
    each |= {name: values for name, (_, values) in java.items()}
    return _assemble(each, _bleu_counts(truth, given), java, left_out, options)


def _check_lengths(
    captions: Sequence[str], references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]] | None
) -> None:
    if len(captions) != len(references) or not captions:
        raise DataError(
            f"{len(captions)} captions cannot be scored against references of {len(references)} pictures"
        )
    if hypotheses is not None and len(hypotheses) != len(captions):
        raise DataError(f"{len(captions)} captions have hypotheses of {len(hypotheses)} pictures")
    if bare := [number for number, texts in enumerate(references) if not texts]:
        raise DataError(f"picture {bare[0]} has no reference to be scored against")


def _assemble(
    each: _Each,
    counts: NDArray[np.int64],
    java: Mapping[str, Scored],
    left_out: Mapping[str, str],
    options: ScoreOptions,
) -> CaptionScores:
    pictures = len(counts)
    shift = {name: score - float(each[name].mean()) for name, (score, _) in java.items()}

    def score(drawn: NDArray[np.int64]) -> dict[str, float]:
        means = {
            name: float(drawn @ values) / pictures + shift.get(name, 0.0) for name, values in each.items()
        }
        return {**means, **_bleu(drawn @ counts)}

    values = score(np.ones(pictures, np.int64))
    intervals = options.bootstrap.intervals(pictures, score)
    return CaptionScores(
        pictures=pictures,
        **values,
        tokenizer=options.tokenizer,
        intervals={name: intervals[name] for name in METRICS if name in intervals},
        left_out=left_out,
        each=each,
    )


def _split_each(texts: Sequence[Sequence[str]], tokenizer: str) -> list[list[str]]:
    """Words of every text, in lists as they came; in one call, since one of the tokenizers is a process."""
    words = iter(split_words([text for several in texts for text in several], tokenizer))
    return [[next(words) for _ in several] for several in texts]


def _mean_metric(module: str, name: str, truth: Texts, given: Texts) -> NDArray[np.float64]:
    scorer = getattr(require(f"pycocoevalcap.{module}", extra="eval"), name)()
    with contextlib.redirect_stdout(None):
        _, each = scorer.compute_score(truth, given)
    return np.asarray(each, np.float64)


def _cider(truth: Texts, given: Texts) -> NDArray[np.float64]:
    return _mean_metric("cider.cider", "Cider", truth, given)


def _oracle(truth: Texts, best: NDArray[np.float64], hypotheses: list[list[str]]) -> NDArray[np.float64]:
    """(N,) each picture's best CIDEr-D, one rank of the hypotheses after another over all pictures."""
    for rank in range(max(map(len, hypotheses))):
        ranked = {
            number: [texts[rank] if rank < len(texts) else ""] for number, texts in enumerate(hypotheses)
        }
        best = np.maximum(best, _cider(truth, ranked))
    return best


def _bleu_counts(truth: Texts, given: Texts) -> NDArray[np.int64]:
    """(N, 10) int64: matches and totals of one to four words, length of the caption and the reference."""
    metric = require("sacrebleu.metrics", extra="eval").BLEU(
        tokenize="none", effective_order=True, force=True
    )
    rows = []
    for number, references in truth.items():
        score = metric.sentence_score(given[number][0], references)
        rows.append([*score.counts, *score.totals, score.sys_len, score.ref_len])
    return np.array(rows, np.int64)


def _bleu(counts: NDArray[np.int64]) -> dict[str, float]:
    """BLEU-1 to BLEU-4, from 0 to 1, of (10,) summed counts."""
    compute = require("sacrebleu.metrics", extra="eval").BLEU.compute_bleu
    matches, totals, (length, reference) = np.split(counts, [ORDERS, 2 * ORDERS])
    scores = {}
    for order in range(1, ORDERS + 1):
        score = compute(
            matches[:order].tolist(),
            totals[:order].tolist(),
            int(length),
            int(reference),
            smooth_method="none",
            max_ngram_order=order,
        ).score
        scores[f"bleu_{order}"] = min(score / 100, 1.0)  # exp(log(1)) of a sum may round above it
    return scores
