"""The loop, the select graph and the back-trace together, against a plain beam search of another making."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cnnrnn.core.search import SearchOptions
from cnnrnn.runtime.backtrace import trace_back
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.loop import SpecialTokens, decode
from tests.runtime.prefix_backend import PrefixBackend
from tests.runtime.reference_search import beam_search, log_softmax, random_model

START = 0


def search(models, vocabulary, ends, options):
    backend = PrefixBackend(models, vocabulary, len(ends), options.max_length)
    images = np.zeros((len(models), 1, 1, 3), np.uint8)
    history = decode(backend, images, options, SpecialTokens(START, ends), Clock())
    return history, [trace_back(history, image, options.n_best) for image in range(len(models))]


def assert_same(paths, found, tolerance=1e-4):
    assert [tuple(path.tokens.tolist()) for path in paths] == [entry.tokens for entry in found]
    for path, entry in zip(paths, found, strict=True):
        assert path.logprob == pytest.approx(entry.logprob, abs=tolerance)
        assert path.score == pytest.approx(entry.score, abs=tolerance)


@pytest.mark.parametrize("beams", [1, 2, 3, 5])
@pytest.mark.parametrize("early_stopping", [False, True, "never"])
def test_tokens_and_scores_are_the_references(beams, early_stopping):
    ends = (2,)
    grid = itertools.product((-1.0, 0.0, 0.6, 1.0, 2.0), ((0, 8), (1, 5), (4, 6), (0, 1), (3, 3)))
    for number, (penalty, (low, high)) in enumerate(grid):
        model = random_model(100 * beams + number, 17, ends)
        options = SearchOptions(beams, high, low, penalty, early_stopping, n_best=beams)
        stopping = True if beams == 1 else early_stopping
        wanted, steps = beam_search(
            model,
            beams=beams,
            ends=ends,
            max_length=high,
            min_length=low,
            length_penalty=penalty,
            early_stopping=stopping,
        )
        history, (paths,) = search([model], 17, ends, options)
        assert_same(paths, wanted)
        assert len(history.tokens) == steps


@pytest.mark.parametrize("ends", [(2, 5), (1, 2, 6)])
def test_several_end_tokens(ends):
    for seed in range(8):
        model = random_model(seed, 23, ends, sharpness=1.5)
        options = SearchOptions(3, 7, 1, 0.8, False, n_best=3)
        wanted, _ = beam_search(
            model, beams=3, ends=ends, max_length=7, min_length=1, length_penalty=0.8, early_stopping=False
        )
        _, (paths,) = search([model], 23, ends, options)
        assert_same(paths, wanted)


@pytest.mark.parametrize("vocabulary", [2, 3, 5])
def test_vocabulary_smaller_than_the_beam(vocabulary):
    for seed in range(6):
        model = random_model(seed, vocabulary, (1,), sharpness=1.0)
        options = SearchOptions(5, 6, 0, 1.0, False, n_best=5)
        wanted, _ = beam_search(model, beams=5, ends=(1,), max_length=6)
        _, (paths,) = search([model], vocabulary, (1,), options)
        assert_same(paths, wanted)


def test_a_beam_as_wide_as_the_space_finds_the_best_of_all_sequences():
    vocabulary, longest, end = 3, 3, 1
    model = random_model(5, vocabulary, (end,), sharpness=1.0)
    scored = []
    for length in range(1, longest + 1):
        for tokens in itertools.product(range(vocabulary), repeat=length):
            whole = end not in tokens[:-1] and (tokens[-1] == end or length == longest)
            if whole:
                total = sum(log_softmax(model(tokens[:t]))[token] for t, token in enumerate(tokens))
                scored.append((total / length**0.7, tokens))
    options = SearchOptions(16, longest, 0, 0.7, "never", n_best=16)
    _, (paths,) = search([model], vocabulary, (end,), options)
    assert [tuple(path.tokens.tolist()) for path in paths] == [t for _, t in sorted(scored, reverse=True)]


@pytest.mark.parametrize("early_stopping", [False, True, "never"])
def test_a_batch_gives_what_single_runs_give_in_any_order(early_stopping):
    models = [random_model(seed, 12, (2,), end_bonus=2.5) for seed in range(6)]
    options = SearchOptions(3, 9, 1, 0.0, early_stopping, n_best=3)
    singles = [search([model], 12, (2,), options) for model in models]
    assert len({len(history.tokens) for history, _ in singles}) > 1, (
        "the models should stop at different steps"
    )
    order = [3, 0, 5, 1, 4, 2]
    _, together = search([models[index] for index in order], 12, (2,), options)
    for paths, index in zip(together, order, strict=True):
        (alone,) = singles[index][1]
        assert [path.tokens.tolist() for path in paths] == [path.tokens.tolist() for path in alone]
        # The vector width in which a sum is taken depends on the batch, so scores agree to rounding only.
        assert [path.score for path in paths] == pytest.approx([path.score for path in alone], abs=1e-5)


def test_token_logprobs_and_alignments_belong_to_their_tokens():
    model = random_model(3, 19, (2,))
    options = SearchOptions(4, 7, 1, 1.0, "never", n_best=4)
    _, (paths,) = search([model], 19, (2,), options)
    assert len(paths) == 4
    assert len({len(path.tokens) for path in paths}) > 1
    for path in paths:
        tokens = path.tokens.tolist()
        wanted = [log_softmax(model(tuple(tokens[:t])))[token] for t, token in enumerate(tokens)]
        np.testing.assert_allclose(path.token_logprobs, wanted, atol=1e-5)
        assert path.token_logprobs.sum() == pytest.approx(path.logprob, abs=1e-5)
        # This backend's alignment is the first three tokens that the beam had been fed when it chose.
        assert path.alignment is not None
        for t, row in enumerate(path.alignment):
            fed = [START, *tokens[:t], -1, -1][:3]
            assert row.tolist() == fed


def test_scores_are_ranked_and_hypotheses_distinct():
    options = SearchOptions(5, 8, 1, 1.0, False, n_best=5)
    for seed in range(5):
        _, (paths,) = search([random_model(seed, 30, (2,))], 30, (2,), options)
        assert [path.score for path in paths] == sorted((path.score for path in paths), reverse=True)
        assert len({tuple(path.tokens.tolist()) for path in paths}) == len(paths)


def test_n_best_takes_the_first_ones():
    model = random_model(1, 30, (2,))
    _, (all_,) = search([model], 30, (2,), SearchOptions(4, 6, n_best=4))
    _, (two,) = search([model], 30, (2,), SearchOptions(4, 6, n_best=2))
    assert [path.tokens.tolist() for path in two] == [path.tokens.tolist() for path in all_[:2]]
