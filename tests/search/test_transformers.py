"""The search against Transformers 5's `generate`: the same tokens, and scores within 1e-4.

Every case is a batch of pictures, a random step model for each, and random options. A stretch of them runs
with the other tests, all of them with ``make test-oracles``. No difference is excused, not even a tie: the
models are random real numbers, whose scores were never that close.
"""

from __future__ import annotations

import numpy as np
import pytest

from cnnrnn.core.search import SearchOptions
from tests.runtime.reference_search import log_softmax
from tests.search.cases import MIXED, Case, case
from tests.search.searching import START, search, tokens_of

pytest.importorskip("transformers")

from tests.search.transformers_search import Answer, generate

SAMPLE = [*range(64), *range(MIXED, MIXED + 16)]
CASES = MIXED + 100
TOLERANCE = 1e-4


@pytest.mark.parametrize(
    "number",
    [pytest.param(number, marks=[] if number in SAMPLE else [pytest.mark.oracle]) for number in range(CASES)],
)
def test_tokens_and_scores_are_those_of_transformers(number):
    case_ = case(number)
    arguments = (case_.models, case_.vocabulary, case_.ends, case_.options)
    for image, (answers, paths) in enumerate(
        zip(generate(START, *arguments), search(*arguments), strict=True)
    ):
        where = f"case {number}, picture {image}: {case_}"
        if not answers:  # where nothing finished, there is the best prefix, which Transformers does not give
            assert len(paths) == 1, where
            assert not len(paths[0].tokens) or paths[0].tokens[-1] not in case_.ends, where
            continue
        assert [tokens_of(path) for path in paths] == [answer.tokens for answer in answers], where
        wanted = [score_of(case_, image, answer) for answer in answers]
        assert [path.score for path in paths] == pytest.approx(wanted, abs=TOLERANCE), where


def score_of(case_: Case, image: int, answer: Answer) -> float:
    """Transformers' score; greedy search has none, so there it is the model's own, in float64."""
    if answer.score is not None:
        return answer.score
    options: SearchOptions = case_.options
    model, tokens = case_.models[image], answer.tokens
    total = sum(log_softmax(model(tokens[:place]))[token] for place, token in enumerate(tokens))
    return float(total) / len(tokens) ** options.length_penalty


def test_the_cases_meet_every_option_and_every_width():
    """Cases that left an option out would say nothing about it."""
    sample = [case(number) for number in SAMPLE]
    options = [entry.options for entry in sample]
    assert {entry.beams for entry in options} == {1, 2, 3, 5, 8}
    assert {entry.early_stopping for entry in options} == {True, False, "never"}
    assert {entry.length_penalty for entry in options} == {-1.0, -0.5, 0.0, 0.6, 1.0, 1.5, 2.0}
    assert {entry.no_repeat_ngram_size for entry in options} == {0, 1, 2, 3, 4}
    assert {type(entry.max_length) for entry in options} == {int, tuple}
    assert {entry.min_length for entry in options} >= {0, 1, 3, 5}
    assert {entry.n_best for entry in options if entry.n_best < entry.beams} >= {1, 2, 3, 4, 5}
    assert {len(entry.ends) for entry in sample} == {1, 2, 3}
    for name in ("repetition_penalty", "bad_words_ids", "suppress_tokens", "prefix", "phrases"):
        assert sum(getattr(entry, name) != getattr(SearchOptions(1, 1), name) for entry in options) >= 6, name
    assert len({str(entry) for entry in sample}) == len(SAMPLE)


def test_a_wrong_score_would_be_seen():
    """The comparison is not with itself: Transformers' numbers for another penalty are others."""
    case_ = case(0)
    other = SearchOptions(5, 8, 1, 0.3, n_best=5)
    found = search(case_.models, case_.vocabulary, case_.ends, other)
    wanted = generate(
        START, case_.models, case_.vocabulary, case_.ends, SearchOptions(5, 8, 1, 0.9, n_best=5)
    )
    assert not np.allclose(
        [path.score for path in found[0]], [answer.score or 0 for answer in wanted[0]], atol=TOLERANCE
    )
