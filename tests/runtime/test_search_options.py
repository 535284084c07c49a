"""Each option of the search against the plain float64 reference, alone and together."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from cnnrnn.core.phrases import Phrases
from cnnrnn.core.search import SearchOptions
from cnnrnn.runtime.backtrace import trace_back
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.loop import SpecialTokens, decode
from tests.runtime.prefix_backend import PrefixBackend
from tests.runtime.reference_search import StepModel, beam_search, changes, log_softmax, random_model

START, ENDS, VOCABULARY = 0, (2,), 19
BASE = SearchOptions(4, 9, 1, 0.7, False, n_best=4)
PHRASES = ((3, 4, 5), (3, 4), (6,), (7, 8, 9, 10), (3, 8), (11, 11, 11))


def search(models, options: SearchOptions, vocabulary: int = VOCABULARY):
    backend = PrefixBackend(models, vocabulary, len(ENDS), options.longest)
    images = np.zeros((len(models), 1, 1, 3), np.uint8)
    history = decode(backend, images, options, SpecialTokens(START, ENDS), Clock())
    return history, [trace_back(history, image, options.n_best) for image in range(len(models))]


def tokens_of(paths) -> list[tuple[int, ...]]:
    return [tuple(path.tokens.tolist()) for path in paths]


def assert_same(paths, found, tolerance=1e-4):
    assert tokens_of(paths) == [entry.tokens for entry in found]
    assert [path.logprob for path in paths] == pytest.approx([e.logprob for e in found], abs=tolerance)
    assert [path.score for path in paths] == pytest.approx([e.score for e in found], abs=tolerance)


def reference(model: StepModel, options: SearchOptions, image: int = 0, **more):
    phrases = options.phrases_of(image + 1)
    change = changes(
        START,
        repetition_penalty=options.repetition_penalty,
        no_repeat_ngram_size=options.no_repeat_ngram_size,
        suppress_tokens=options.suppress_tokens,
        bad_words_ids=options.bad_words_ids,
        prefix=options.prefixes(image + 1)[image],
        phrases=phrases[image].sequences if phrases else None,
        ends=ENDS,
    )
    found, _ = beam_search(
        model,
        beams=options.beams,
        ends=ENDS,
        max_length=options.max_lengths(image + 1)[image],
        min_length=options.min_length,
        length_penalty=options.length_penalty,
        early_stopping=True if options.beams == 1 else options.early_stopping,
        change=change,
        divisor=options.divisor,
        **more,
    )
    return found


OPTIONS: dict[str, dict] = {
    "repetition": {"repetition_penalty": 1.7},
    "repetition below 1": {"repetition_penalty": 0.8},
    "1-gram": {"no_repeat_ngram_size": 1},
    "2-gram": {"no_repeat_ngram_size": 2},
    "3-gram": {"no_repeat_ngram_size": 3},
    "4-gram": {"no_repeat_ngram_size": 4},
    "suppress": {"suppress_tokens": (3, 5, 7)},
    "bad words": {"bad_words_ids": ((3,), (4, 4), (5, 6, 7), (START, 8), (2,), (9,) * 30)},
    "prefix": {"prefix": (5, 5, 3)},
    "phrases": {"phrases": Phrases(PHRASES)},
    "phrases, prefix": {"phrases": Phrases(PHRASES), "prefix": (3, 4)},
    "gnmt": {"length_penalty_type": "gnmt", "length_penalty": 3.0},
    "many": {
        "repetition_penalty": 1.3,
        "no_repeat_ngram_size": 2,
        "suppress_tokens": (3,),
        "bad_words_ids": ((4, 4), (5, 6)),
        "prefix": (8, 9),
        "length_penalty_type": "gnmt",
    },
}


def model_of(seed: int) -> StepModel:
    """Few likely tokens, two of them by turns, so that repetitions come."""
    noise = random_model(seed, VOCABULARY, ENDS, sharpness=1.0, end_bonus=1.0)
    favourites = np.zeros((2, VOCABULARY), np.float32)
    favourites[:, [3, 4, 5, 6, 8]] = 2.0
    favourites[[0, 1], [3, 4]] = 4.0
    return lambda prefix: noise(prefix) + favourites[len(prefix) % 2]


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("beams", [2, 4])
def test_an_option_does_what_the_reference_does(name, beams):
    changed = 0
    for seed, stopping in itertools.product(range(4), (False, "never")):
        options = replace(BASE, beams=beams, n_best=beams, early_stopping=stopping, **OPTIONS[name])
        model = model_of(seed)
        wanted = reference(model, options)
        _, (paths,) = search([model], options)
        assert_same(paths, wanted)
        changed += wanted != reference(model, replace(BASE, beams=beams, early_stopping=stopping))
    assert changed, "the option should matter"


@pytest.mark.parametrize("name", [name for name in OPTIONS if not OPTIONS[name].get("repetition_penalty")])
def test_greedy_search_has_the_options_too(name):
    for seed in range(4):
        options = replace(BASE, beams=1, n_best=1, **OPTIONS[name])
        _, (paths,) = search([model_of(seed)], options)
        assert_same(paths, reference(model_of(seed), options))


def test_greedy_repetition_is_applied_to_raw_logits_and_scored_without_it():
    for seed in range(5):
        model = model_of(seed)
        _, (paths,) = search([model], replace(BASE, beams=1, n_best=1, repetition_penalty=1.8))
        fed: tuple[int, ...] = ()
        total = 0.0
        for _ in range(9):
            logits = model(fed).astype(np.float64)
            total_of = log_softmax(model(fed))
            for token in {START, *fed}:
                logits[token] = logits[token] * 1.8 if logits[token] < 0 else logits[token] / 1.8
            if not fed:
                logits[2] = -np.inf
            token = int(logits.argmax())
            fed, total = (*fed, token), total + float(total_of[token])
            if token == 2:
                break
        assert tokens_of(paths) == [fed]
        assert paths[0].logprob == pytest.approx(total, abs=1e-4)


def test_each_image_has_its_own_length_prefix_and_phrases():
    models = [model_of(seed) for seed in range(3)]
    tries = tuple(Phrases(part) for part in (PHRASES[:3], PHRASES[2:5], PHRASES))
    options = replace(BASE, max_length=(5, 6, 9), prefix=((3,), (), (7, 8)), phrases=tries)
    _, answers = search(models, options)
    for image, (model, paths) in enumerate(zip(models, answers, strict=True)):
        assert_same(paths, reference(model, options, image))
        (alone,) = search([model], options.of_images([image]))[1]
        assert tokens_of(alone) == tokens_of(paths)


def test_coverage_is_added_to_finished_scores():
    """This backend's alignment is the first three tokens that a beam was fed."""

    def bonus(tokens: tuple[int, ...]) -> float:
        rows = [[START, *tokens[:t], -1, -1][:3] for t in range(len(tokens))]
        got = np.clip(np.sum(rows, axis=0), np.finfo(np.float32).tiny, 1)
        return 0.01 * float(np.log(got).sum())

    for seed in range(4):
        options = replace(BASE, coverage_penalty=0.01)
        _, (paths,) = search([model_of(seed)], options)
        assert_same(paths, reference(model_of(seed), options, bonus=bonus))


def test_groups_differ_and_the_first_is_a_plain_search():
    model = model_of(1)
    plain = replace(BASE, beams=2, n_best=2)
    _, (alone,) = search([model], plain)
    options = replace(BASE, beams=6, n_best=6, num_beam_groups=3, diversity_penalty=1.5)
    history, (paths,) = search([model], options)
    scores = [path.score for path in paths]
    assert scores == sorted(scores, reverse=True)
    assert len(paths) == 6
    assert set(tokens_of(alone)) <= set(tokens_of(paths))
    firsts = history.tokens[0, 0].reshape(3, 2)
    assert len({tuple(row) for row in firsts.tolist()}) > 1
    (lone,) = search([model], replace(options, diversity_penalty=1e-9))[1]
    assert len(set(tokens_of(lone))) < 6


def test_samples_follow_their_seed_alone_or_together():
    models = [model_of(seed) for seed in range(4)]
    options = replace(BASE, beams=6, n_best=6, do_sample=True, seed=7, temperature=1.3, top_p=0.9)
    _, together = search(models, options)
    for model, paths in zip(models, together, strict=True):
        (alone,) = search([model], options)[1]
        assert tokens_of(alone) == tokens_of(paths)
        for path in paths:
            tokens = path.tokens.tolist()
            wanted = [log_softmax(model(tuple(tokens[:t])))[token] for t, token in enumerate(tokens)]
            np.testing.assert_allclose(path.token_logprobs, wanted, atol=1e-4)
        few = search([model], replace(options, beams=2, n_best=2))[1][0]
        assert set(tokens_of(few)) <= set(tokens_of(paths)), "a sample is the same however many there are"
    assert tokens_of(search([models[0]], replace(options, seed=8))[1][0]) != tokens_of(together[0])


@pytest.mark.parametrize(
    "warpers",
    [
        {},
        {"top_k": 3},
        {"top_p": 0.6},
        {"min_p": 0.3},
        {"top_k": 6, "top_p": 0.5},
        {"top_p": 0.8, "min_p": 0.2},
    ],
    ids=str,
)
def test_only_what_the_warpers_leave_is_drawn(warpers):
    logits = (np.random.default_rng(3).normal(size=VOCABULARY) * 0.6).astype(np.float32)
    options = replace(BASE, max_length=2, beams=32, n_best=32, min_length=0, do_sample=True, temperature=0.8)
    seen: set[int] = set()
    for seed in range(20):
        history, _ = search([lambda prefix: logits], replace(options, seed=seed, **warpers))
        seen |= set(history.tokens[0].ravel().tolist())
    assert seen == kept_tokens(logits / np.float32(0.8), **warpers)


def kept_tokens(logits: np.ndarray, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0) -> set[int]:
    order = np.argsort(-logits)
    weights = np.exp(logits[order].astype(np.float64) - logits.max())
    if top_k:
        weights[top_k:] = 0
    before = np.cumsum(weights) - weights
    kept = (before < top_p * weights.sum()) & (weights >= min_p) & (weights > 0)
    return set(order[kept].tolist())


def test_samples_have_the_other_options_too():
    for name in ("2-gram", "suppress", "phrases, prefix", "many"):
        options = replace(BASE, beams=5, n_best=5, do_sample=True, min_length=1, **OPTIONS[name])
        _, (paths,) = search([model_of(2)], options)
        for tokens in tokens_of(paths):
            assert tokens[: len(options.prefix)] == options.prefix
            pairs = list(itertools.pairwise((START, *tokens)))
            assert not options.no_repeat_ngram_size or len(set(pairs)) == len(pairs)
            assert not set(options.suppress_tokens) & set(tokens[len(options.prefix) :])
            if options.phrases is not None:
                assert tokens[:-1] in PHRASES


def test_ties_go_to_the_lowest_token_then_the_lowest_beam():
    flat = np.zeros(VOCABULARY, np.float32)
    history, _ = search([lambda prefix: flat], replace(BASE, beams=3, n_best=3, min_length=5))
    assert history.tokens[:2, 0].tolist() == [[0, 1, 3], [0, 0, 0]]
    assert history.parents[1, 0].tolist() == [0, 1, 2]


def test_a_fault_is_of_its_image_alone():
    def spoiled(value: float, at: int) -> StepModel:
        def logits(prefix):
            numbers = model_of(1)(prefix)
            if len(prefix) == at:
                numbers[5] = value
            return numbers

        return logits

    never = model_of(3)
    models = [model_of(0), spoiled(np.nan, 2), spoiled(np.inf, 0), spoiled(-np.inf, 1), never]
    for extra in ({}, {"no_repeat_ngram_size": 2}, {"do_sample": True, "top_p": 0.9}):
        options = replace(BASE, min_length=4, **extra)
        history, answers = search(models, options)
        assert history.faults.tolist() == [0, 3, 1, 0, 0]
        assert [len(paths) > 0 for paths in answers] == [True, False, False, True, True]
        for image in (0, 3, 4):
            assert tokens_of(answers[image]) == tokens_of(search([models[image]], options)[1][0])


def test_where_no_token_may_come_the_live_prefix_is_the_answer():
    def logits(prefix):
        numbers = np.full(VOCABULARY, -np.inf, np.float32)
        numbers[min(len(prefix), 2) + 3] = 1.0
        return numbers

    options = replace(BASE, suppress_tokens=(5,))
    history, (paths,) = search([logits], options)
    assert history.done.tolist() == [True]
    assert tokens_of(paths) == [(3, 4)]
    assert paths[0].score == pytest.approx(0)
    assert tokens_of(search([logits], replace(options, suppress_tokens=(3,)))[1][0]) == [()]


def test_a_deadline_gives_the_best_so_far():
    model = model_of(0)
    options = replace(BASE, min_length=6, deadline_ms=1e-9)
    history, (paths,) = search([model], options)
    assert len(history.tokens) == 1
    assert not history.done.any()
    assert tokens_of(paths) == [(int(log_softmax(model(()))[3:].argmax()) + 3,)]
