"""Draws against the exact distribution, and against Transformers' warpers, by Pearson's chi-squared test.

100,000 draws of one token for each set of warpers. A test of this kind is wrong once in 100,000 times by
chance, and the seeds are fixed.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from cnnrnn.core.search import SearchOptions
from cnnrnn.runtime.backend import Encoded, Stepped
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.loop import SpecialTokens, decode
from tests.runtime.reference_search import log_softmax, random_model
from tests.search.searching import START, SharedBackend, search, tokens_of

VOCABULARY, END = 24, 2
BEAMS, STEPS, SEEDS = 32, 800, 4
LEAST_P = 1e-5

WARPERS: dict[str, dict] = {
    "none": {},
    "cool": {"temperature": 0.5},
    "warm": {"temperature": 1.7},
    "top-k": {"top_k": 6},
    "top-p": {"top_p": 0.8},
    "top-p, little": {"top_p": 0.05},
    "min-p": {"min_p": 0.1},
    "temperature, top-k": {"temperature": 1.5, "top_k": 9},
    "temperature, top-p": {"temperature": 0.7, "top_p": 0.9},
    "top-k, top-p": {"top_k": 10, "top_p": 0.7},
    "top-p, min-p": {"top_p": 0.95, "min_p": 0.05},
    "all": {"temperature": 1.3, "top_k": 15, "top_p": 0.9, "min_p": 0.04},
}


def logits() -> np.ndarray:
    """A few likely tokens and many unlikely ones; the end token never comes."""
    numbers = np.random.default_rng(11).normal(size=VOCABULARY).astype(np.float32) * 1.6
    numbers[END] = -np.inf
    return numbers


class OneDistribution(SharedBackend):
    """The same logits at every step, without the prefix to look at."""

    def __init__(self) -> None:
        super().__init__([], VOCABULARY, 1, STEPS)
        self.logits = np.tile(logits(), (1, BEAMS, 1))

    def encode(self, images, questions=None):
        return Encoded(memory={}, state={})

    def step(self, tokens, parents, state, memory):
        return Stepped(self.logits, {}, None)


@cache
def draws(name: str) -> np.ndarray:
    """(SEEDS, STEPS, BEAMS) tokens."""
    drawn = []
    for seed in range(SEEDS):
        options = SearchOptions(BEAMS, STEPS, do_sample=True, seed=seed, **WARPERS[name])
        images = np.zeros((1, 1, 1, 3), np.uint8)
        history = decode(OneDistribution(), images, options, SpecialTokens(START, (END,)), Clock())
        drawn.append(history.tokens[:, 0])
    return np.stack(drawn)


def exact(*, temperature=1.0, top_k=0, top_p=1.0, min_p=0.0) -> np.ndarray:
    """The distribution in float64, from the definitions: each warper renormalises what the last one left."""
    chances = np.exp(log_softmax(logits().astype(np.float64) / temperature))
    order = np.argsort(-chances, kind="stable")
    if top_k:
        chances[order[top_k:]] = 0
    chances /= chances.sum()
    before = np.cumsum(chances[order]) - chances[order]
    chances[order[before >= top_p]] = 0  # the smallest set of the likeliest that makes up top_p
    chances[chances < min_p * chances.max()] = 0
    return chances / chances.sum()


def p_value(counts: np.ndarray, chances: np.ndarray) -> float:
    """Of Pearson's chi-squared; cells that expect fewer than ten draws are taken together."""
    torch = pytest.importorskip("torch")
    expected = chances * counts.sum()
    rare = (expected < 10) & (expected > 0)
    seen, wanted = counts[expected >= 10], expected[expected >= 10]
    if rare.any():
        seen, wanted = np.append(seen, counts[rare].sum()), np.append(wanted, expected[rare].sum())
    statistic = ((seen - wanted) ** 2 / wanted).sum()
    if len(seen) == 1:
        return 1.0
    # The upper tail of chi-squared with n - 1 degrees of freedom is the regularised upper gamma function.
    half = torch.tensor([(len(seen) - 1) / 2, statistic / 2], dtype=torch.float64)
    return float(torch.special.gammaincc(half[0], half[1]))


@pytest.mark.parametrize("name", WARPERS)
def test_draws_follow_the_exact_distribution(name):
    chances = exact(**WARPERS[name])
    counts = np.bincount(draws(name).ravel(), minlength=VOCABULARY)
    assert counts.sum() >= 100_000
    assert counts[chances == 0].sum() == 0
    assert p_value(counts, chances) > LEAST_P


@pytest.mark.parametrize("name", WARPERS)
def test_the_distribution_is_that_of_transformers_warpers(name):
    torch = pytest.importorskip("torch")
    generation = pytest.importorskip("transformers.generation.logits_process")
    options = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, **WARPERS[name]}
    scores = torch.from_numpy(logits())[None].double()
    if options["temperature"] != 1:
        scores = generation.TemperatureLogitsWarper(options["temperature"])(None, scores)
    if options["top_k"]:
        scores = generation.TopKLogitsWarper(options["top_k"])(None, scores)
    if options["top_p"] < 1:
        scores = generation.TopPLogitsWarper(options["top_p"])(None, scores)
    if options["min_p"]:
        scores = generation.MinPLogitsWarper(options["min_p"])(None, scores)
    theirs = scores.softmax(-1)[0].numpy()
    np.testing.assert_allclose(exact(**WARPERS[name]), theirs, atol=1e-12)
    counts = np.bincount(draws(name).ravel(), minlength=VOCABULARY)
    assert p_value(counts, theirs) > LEAST_P


@pytest.mark.parametrize("axis", [0, 1, 2], ids=["seeds", "steps", "beams"])
def test_draws_are_independent_of_their_neighbours(axis):
    """Pairs that follow each other in one direction are as likely as their parts say."""
    drawn = draws("none")
    first, second = np.moveaxis(drawn, axis, 0)[:-1], np.moveaxis(drawn, axis, 0)[1:]
    if axis == 2:
        first, second = first[::2], second[::2]  # the chi-squared test wants pairs that share nothing
    if axis == 1:
        first, second = first[::2], second[::2]
    pairs = np.bincount((first * VOCABULARY + second).ravel(), minlength=VOCABULARY**2)
    chances = exact()
    assert p_value(pairs, np.outer(chances, chances).ravel()) > LEAST_P


def test_another_distribution_is_refused():
    """The test can fail: draws at one temperature are not those of one that is a little higher."""
    counts = np.bincount(draws("none").ravel(), minlength=VOCABULARY)
    assert p_value(counts, exact(temperature=1.05)) < LEAST_P


def test_the_best_of_n_is_ranked_by_the_models_own_probability():
    models = [cache(random_model(seed, 19, (END,))) for seed in range(6)]
    warped = {"temperature": 2.0, "top_k": 12, "repetition_penalty": 1.4}
    options = SearchOptions(8, 7, 1, 0.8, n_best=8, do_sample=True, seed=3, **warped)
    for model, paths in zip(models, search(models, 19, (END,), options), strict=True):
        assert len(paths) == 8
        scores = [path.score for path in paths]
        assert scores == sorted(scores, reverse=True)
        for path in paths:
            tokens = tokens_of(path)
            own = [log_softmax(model(tokens[:place]))[token] for place, token in enumerate(tokens)]
            assert path.logprob == pytest.approx(sum(own), abs=1e-4)
            assert path.score == pytest.approx(sum(own) / len(tokens) ** 0.8, abs=1e-4)


def test_a_seed_gives_one_answer_and_more_samples_hold_the_fewer():
    models = [cache(random_model(seed, 19, (END,))) for seed in range(3)]

    def found(beams: int, seed: int) -> list[list[tuple[int, ...]]]:
        options = SearchOptions(beams, 7, n_best=beams, do_sample=True, seed=seed)
        return [[tokens_of(path) for path in paths] for paths in search(models, 19, (END,), options)]

    assert found(4, 1) == found(4, 1)
    assert found(4, 1) != found(4, 2)
    for few, many in zip(found(4, 1), found(8, 1), strict=True):
        assert set(few) <= set(many)


def test_nearly_no_temperature_takes_the_likeliest():
    model = cache(random_model(2, 19, (END,)))
    greedy = search([model], 19, (END,), SearchOptions(1, 7))
    cold = search([model], 19, (END,), SearchOptions(1, 7, do_sample=True, temperature=0.001))
    assert tokens_of(cold[0][0]) == tokens_of(greedy[0][0])
