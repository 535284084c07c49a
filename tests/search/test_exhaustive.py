"""A beam as wide as the space against every sequence there is, each scored from the definitions alone.

With three tokens, one of which ends, and four steps there are 31 complete sequences and never more than 24
candidates, so that 32 beams keep everything: what comes out has to be all of it, in order.
"""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest

from cnnrnn.core.phrases import Phrases
from cnnrnn.core.search import SearchOptions
from tests.runtime.reference_search import log_softmax, random_model
from tests.search.searching import START, search, tokens_of

VOCABULARY, LONGEST, END, POSITIONS = 3, 4, 1, 3

OPTIONS: dict[str, dict] = {
    "none": {"length_penalty": 0.0},
    "length": {"length_penalty": 1.0},
    "length, strong": {"length_penalty": 2.0},
    "length, short": {"length_penalty": -1.0},
    "gnmt": {"length_penalty": 0.9, "length_penalty_type": "gnmt"},
    "gnmt, short": {"length_penalty": -1.5, "length_penalty_type": "gnmt"},
    "coverage": {"coverage_penalty": 0.4},
    "gnmt, coverage": {"coverage_penalty": 0.7, "length_penalty": 0.6, "length_penalty_type": "gnmt"},
    "repetition": {"repetition_penalty": 1.8},
    "repetition wanted": {"repetition_penalty": 0.6},
    "1-gram": {"no_repeat_ngram_size": 1},
    "2-gram": {"no_repeat_ngram_size": 2},
    "3-gram": {"no_repeat_ngram_size": 3},
    "bad words": {"bad_words_ids": ((2, 2), (0, 2, 0), (START, 0), (END,))},
    "suppressed": {"suppress_tokens": (0,)},
    "prefix": {"prefix": (2, 0)},
    "phrases": {"phrases": Phrases([(0, 2, 2), (2,), (2, 2), (0, 0), (2, 0, 0)])},
    "minimum": {"min_length": 3},
    "together": {
        "length_penalty": 1.4,
        "coverage_penalty": 0.2,
        "repetition_penalty": 1.3,
        "no_repeat_ngram_size": 3,
        "bad_words_ids": ((0, 0),),
        "min_length": 2,
    },
}


def alignment(tokens: tuple[int, ...]) -> np.ndarray:
    """Where the decoder looks after these tokens: any numbers that depend on all of them."""
    return np.random.default_rng([5, 5, *tokens]).random(POSITIONS).astype(np.float32) / 1.5


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("early_stopping", [False, "never"])
def test_everything_comes_out_in_order(name, early_stopping):
    chosen = {"min_length": 0, "early_stopping": early_stopping, "n_best": 32, **OPTIONS[name]}
    options = SearchOptions(32, LONGEST, **chosen)
    looks = alignment if options.coverage_penalty else None
    models = [cache(random_model(seed, VOCABULARY, (END,), 1.0)) for seed in range(4)]
    for model, paths in zip(models, search(models, VOCABULARY, (END,), options, looks), strict=True):
        wanted = sorted(every_sequence(model, options), reverse=True)
        assert len(wanted) > 1
        assert [tokens_of(path) for path in paths] == [tokens for _, _, tokens in wanted]
        assert [path.logprob for path in paths] == pytest.approx([lp for _, lp, _ in wanted], abs=1e-4)
        assert [path.score for path in paths] == pytest.approx([score for score, _, _ in wanted], abs=1e-4)


@pytest.mark.parametrize("beams", [1, 2, 5, 31])
def test_no_beam_beats_the_one_as_wide_as_the_space(beams):
    for penalty in (-1.0, 0.0, 0.7, 2.0):
        models = [cache(random_model(seed, VOCABULARY, (END,), 1.5)) for seed in range(20)]
        narrow = SearchOptions(beams, LONGEST, 0, penalty, "never")
        whole = SearchOptions(32, LONGEST, 0, penalty, "never")
        pairs = zip(
            search(models, VOCABULARY, (END,), narrow), search(models, VOCABULARY, (END,), whole), strict=True
        )
        for found, best in pairs:
            assert best[0].score >= found[0].score - 1e-5


def every_sequence(model, options: SearchOptions):
    """Score, log-probability and tokens of all that may come."""
    for length in range(1, LONGEST + 1):
        for tokens in itertools.product(range(VOCABULARY), repeat=length):
            whole = END not in tokens[:-1] and (tokens[-1] == END or length == LONGEST)
            if whole and may_come(tokens, options):
                logprob = logprob_of(model, tokens, options.repetition_penalty)
                yield score_of(logprob, tokens, options), logprob, tokens


def may_come(tokens: tuple[int, ...], options: SearchOptions) -> bool:
    if tokens[-1] == END and len(tokens) <= options.min_length:
        return False
    fed, n = (START, *tokens), options.no_repeat_ngram_size
    grams = [fed[place : place + n] for place in range(len(fed) - n + 1)] if n else []
    if len(set(grams)) < len(grams):
        return False
    for words in options.bad_words_ids:
        places = range(max(0, 1 - len(words) + 1), len(fed) - len(words) + 1)
        if words != (END,) and any(fed[place : place + len(words)] == words for place in places):
            return False
    if options.phrases is not None:
        (phrases,) = options.phrases_of(1)
        if tokens[-1] != END or tokens[:-1] not in phrases.sequences:
            return False
    (prefix,) = options.prefixes(1)
    return not set(tokens) & set(options.suppress_tokens) and tokens[: len(prefix)] == prefix


def logprob_of(model, tokens: tuple[int, ...], penalty: float) -> float:
    total = 0.0
    for place, token in enumerate(tokens):
        logprob = float(log_softmax(model(tokens[:place]))[token])
        total += logprob * penalty if token in (START, *tokens[:place]) else logprob
    return total


def score_of(logprob: float, tokens: tuple[int, ...], options: SearchOptions) -> float:
    length, power = len(tokens), options.length_penalty
    divisor = ((5 + length) / 6) ** power if options.length_penalty_type == "gnmt" else length**power
    got = np.sum([alignment(tokens[:place]).astype(float) for place in range(length)], axis=0)
    covered = float(np.log(np.minimum(got, 1.0)).sum())
    return logprob / divisor + options.coverage_penalty * covered
