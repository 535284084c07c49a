"""Logits that are no numbers, ties, and sizes at the edge."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from cnnrnn.core.phrases import Phrases
from cnnrnn.core.search import SearchOptions
from tests.runtime.reference_search import beam_search, log_softmax, random_model
from tests.search.searching import START, search, search_all, tokens_of

END = 2


def broken(model, after: int, value: float, everywhere: bool = False):
    """``model`` whose logits hold ``value`` once ``after`` tokens are there, for one token or for all."""

    def logits(prefix):
        found = model(prefix).copy()
        if len(prefix) == after:
            found[slice(None) if everywhere else 7] = value
        return found

    return logits


@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize("after", [0, 2])
@pytest.mark.parametrize(
    ("value", "everywhere"),
    [(np.nan, False), (np.nan, True), (np.inf, False), (np.inf, True), (-np.inf, True)],
)
@pytest.mark.parametrize("option", [{}, {"no_repeat_ngram_size": 2}, {"do_sample": True}])
def test_one_picture_without_numbers_leaves_the_others_alone(beams, after, value, everywhere, option):
    models = [cache(random_model(seed, 19, (END,), end_bonus=-3.0)) for seed in range(3)]
    options = SearchOptions(beams, 6, 4, n_best=beams, **option)
    alone = search(models, 19, (END,), options)
    history, paths = search_all(
        [models[0], broken(models[1], after, value, everywhere), models[2]], 19, (END,), options
    )
    assert history.faults.tolist() == [0, after + 1, 0]
    assert paths[1] == []
    for image in (0, 2):
        assert [tokens_of(path) for path in paths[image]] == [tokens_of(path) for path in alone[image]]
        wanted = pytest.approx([path.score for path in alone[image]], abs=1e-5)
        assert [path.score for path in paths[image]] == wanted


def test_every_picture_without_numbers_ends_the_search():
    models = [broken(random_model(seed, 19, (END,)), seed, np.nan) for seed in range(2)]
    history, paths = search_all(models, 19, (END,), SearchOptions(3, 8, 3))
    assert history.faults.tolist() == [1, 2]
    assert len(history.tokens) == 2
    assert paths == [[], []]


@pytest.mark.parametrize("option", [{}, {"repetition_penalty": 1.5}, {"do_sample": True}])
def test_minus_infinity_is_a_token_that_never_comes(option):
    models = [broken(broken(random_model(seed, 19, (END,)), 1, -np.inf), 0, -np.inf) for seed in range(5)]
    history, paths = search_all(models, 19, (END,), SearchOptions(4, 6, 2, n_best=4, **option))
    assert not history.faults.any()
    assert all(7 not in tokens_of(path)[:2] for image in paths for path in image)


@pytest.mark.parametrize("width", [{"beams": 1}, {"beams": 3}, {"beams": 3, "do_sample": True}], ids=str)
@pytest.mark.parametrize("words", [((END,),), ((7,) * 9,), ((END,), (3,) * 40)], ids=["end", "long", "both"])
def test_sequences_that_cannot_come_change_nothing(width, words):
    """Neither a single end token, which is ignored, nor one longer than an answer: token 0 is not banned."""

    def logits(prefix):
        return np.eye(1, 19, 0, dtype=np.float32)[0] * 3 + cache(random_model(3, 19, (END,)))(prefix)

    options = SearchOptions(**width, max_length=6, min_length=2, n_best=width["beams"])
    (wanted,) = search([logits], 19, (END,), options)
    (found,) = search([logits], 19, (END,), replace(options, bad_words_ids=words))
    assert any(0 in path.tokens for path in wanted)
    assert [tokens_of(path) for path in found] == [tokens_of(path) for path in wanted]


@pytest.mark.parametrize("beams", [1, 2, 5])
def test_ties_go_to_the_lowest_token_then_to_the_lowest_beam(beams):
    history, _ = search_all([lambda prefix: np.zeros(30, np.float32)], 30, (END,), SearchOptions(beams, 4, 4))
    others = [token for token in range(30) if token != END]
    assert history.tokens[0, 0].tolist() == others[:beams]
    assert history.parents[0, 0].tolist() == [0] * beams
    for step in (1, 2):
        assert history.tokens[step, 0].tolist() == [0] * beams
        assert history.parents[step, 0].tolist() == list(range(beams))


@pytest.mark.parametrize(
    "option", [{"no_repeat_ngram_size": 3}, {"repetition_penalty": 1.2}, {"suppress_tokens": (0, 4)}]
)
def test_ties_with_options_on(option):
    """Of equal ones at the end of what is kept, the lowest stay: tokens 5 to 20 are equally likely."""

    def logits(prefix):
        return np.where((np.arange(30) >= 5) & (np.arange(30) <= 20), 1.0, -1.0).astype(np.float32)

    history, _ = search_all([logits], 30, (END,), SearchOptions(4, 3, 3, **option))
    assert history.tokens[0, 0].tolist() == [5, 6, 7, 8]


@pytest.mark.parametrize(
    "option", [{}, {"no_repeat_ngram_size": 2}, {"num_beam_groups": 4, "diversity_penalty": 0.5}]
)
def test_a_vocabulary_of_two(option):
    models = [cache(random_model(seed, 2, (1,), 1.0)) for seed in range(4)]
    paths = search(models, 2, (1,), SearchOptions(8, 5, 0, n_best=8, **option))
    for image in paths:
        assert image
        for path in image:
            tokens = tokens_of(path)
            assert set(tokens[:-1]) <= {0}
            assert tokens[-1] == 1 or len(tokens) == 5


def test_a_vocabulary_of_a_quarter_of_a_million():
    logits = cache(random_model(3, 250_000, (END,), 3.0))
    options = SearchOptions(3, 3, 1, 0.6, n_best=3)
    (paths,) = search([logits], 250_000, (END,), options)
    live: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    for _ in range(3):
        candidates = []
        for total, prefix in live:
            logprobs = log_softmax(logits(prefix))
            best = np.argpartition(-logprobs, 9)[:9]
            candidates += [(total + float(logprobs[token]), (*prefix, int(token))) for token in best]
        live = sorted(candidates, reverse=True)[:3]
    assert [tokens_of(path) for path in paths] == [tokens for _, tokens in live]
    assert [path.logprob for path in paths] == pytest.approx([total for total, _ in live], abs=1e-3)


@pytest.mark.parametrize(
    "option",
    [
        {"repetition_penalty": 1.4, "no_repeat_ngram_size": 2},
        {"suppress_tokens": tuple(range(3, 200_000))},
        {"bad_words_ids": ((249_999,), (5, 6))},
        {"prefix": (249_999, 7)},
        {"phrases": Phrases([(249_999, n, 5) for n in range(3, 90)])},
    ],
    ids=lambda option: "-".join(option),
)
def test_options_over_a_quarter_of_a_million(option):
    pytest.importorskip("transformers")
    from tests.search.transformers_search import generate

    models = [cache(random_model(3, 250_000, (END,), 3.0))]
    options = SearchOptions(3, 4, 2, 0.6, n_best=3, **option)
    (wanted,) = generate(START, models, 250_000, (END,), options)
    (paths,) = search(models, 250_000, (END,), options)
    assert [tokens_of(path) for path in paths] == [answer.tokens for answer in wanted]
    assert [path.score for path in paths] == pytest.approx([answer.score for answer in wanted], abs=1e-3)


@pytest.mark.parametrize("top", [{}, {"top_k": 40}, {"top_p": 0.9}])
def test_samples_of_a_quarter_of_a_million(top):
    """The likeliest token has a fifth of the probability, and a sample takes it as often."""
    logits = np.random.default_rng(0).normal(size=250_000).astype(np.float32)
    logits[249_999] = np.log(np.exp(logits.astype(np.float64)).sum() / 4)
    options = SearchOptions(32, 20, 20, do_sample=True, seed=2, **top)
    history, _ = search_all([lambda prefix: logits], 250_000, (END,), options)
    chances = np.sort(np.exp(log_softmax(logits)))[::-1]
    # Top-p does not look beyond the 3,840 likeliest, which have less than 0.9 together here.
    kept = {"top_k": 40, "top_p": 3840}.get(next(iter(top), ""), 250_000)
    expected = chances[0] / chances[:kept].sum()
    share = (history.tokens == 249_999).mean()
    assert share == pytest.approx(expected, abs=5 * np.sqrt(expected / history.tokens.size))
    assert history.tokens.max() < 250_000


@pytest.mark.parametrize("beams", [6, 32])
def test_a_beam_wider_than_the_vocabulary(beams):
    for seed in range(3):
        model = cache(random_model(seed, 5, (END,), 1.0))
        wanted, _ = beam_search(model, beams=beams, ends=(END,), max_length=4, length_penalty=0.8)
        (paths,) = search([model], 5, (END,), SearchOptions(beams, 4, 0, 0.8, n_best=beams))
        assert [tokens_of(path) for path in paths] == [found.tokens for found in wanted]


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("option", [{}, {"no_repeat_ngram_size": 4}, {"bad_words_ids": ((4, 5, 6, 7),)}])
def test_a_maximum_length_of_one(beams, option):
    model = cache(random_model(1, 19, (END,)))
    (paths,) = search([model], 19, (END,), SearchOptions(beams, 1, 0, n_best=beams, **option))
    best = np.argsort(-model(()))[:beams]
    assert [tokens_of(path) for path in paths] == [(int(token),) for token in best]


@pytest.mark.parametrize("beams", [1, 4])
def test_nothing_allowed_any_more_gives_the_best_prefix(beams):
    """Without a token twice, seven tokens are used up after six steps, and the end is forbidden till then."""
    model = cache(random_model(4, 7, (END,), 1.0))
    options = SearchOptions(beams, 12, 9, no_repeat_ngram_size=1, n_best=beams)
    history, (paths,) = search_all([model], 7, (END,), options)
    assert not history.faults.any()
    (path,) = paths
    assert sorted(tokens_of(path)) == [1, 3, 4, 5, 6]
    assert len(history.tokens) == 6
    assert path.logprob == pytest.approx(float(path.token_logprobs.sum()), abs=1e-5)
