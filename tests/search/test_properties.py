"""What has to hold whatever the model and the options are."""

from __future__ import annotations

import itertools
import time
from functools import cache

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cnnrnn.core.phrases import Phrases
from cnnrnn.core.search import SearchOptions
from cnnrnn.core.search_bans import Bans
from cnnrnn.runtime.backtrace import trace_back
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.loop import Search, SpecialTokens, decode
from cnnrnn.runtime.stream import Settling
from tests.runtime.reference_search import random_model
from tests.search.searching import START, SharedBackend, search, search_all, tokens_of

VOCABULARY, ENDS = 11, (2,)
WORDS = [token for token in range(VOCABULARY) if token not in ENDS]

plainly = settings(deadline=None, derandomize=True, database=None, max_examples=25)

seeds = st.integers(0, 10_000)
# Few structures, since each is a graph to be made; what is a number varies freely.
widths = st.sampled_from([{"beams": 1}, {"beams": 4}, {"beams": 4, "do_sample": True}])
groups = {"beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.7}


def models_of(*seeds: int):
    return [cache(random_model(seed, VOCABULARY, ENDS, 1.5)) for seed in seeds]


def numbers_of(width: dict):
    """Options that are numbers alone."""
    options = {
        "max_length": st.integers(2, 9),
        "min_length": st.integers(0, 2),
        "length_penalty": st.floats(-1, 2),
    }
    if not width.get("do_sample"):
        options["early_stopping"] = st.sampled_from([False, True, "never"])
    return st.fixed_dictionaries(options)


@plainly
@given(seeds, widths, st.integers(1, 3), st.data())
def test_no_hypothesis_has_an_n_gram_twice(seed, width, n, data):
    numbers = data.draw(numbers_of(width))
    options = SearchOptions(**width, **numbers, no_repeat_ngram_size=n, n_best=width["beams"])
    for paths in search(models_of(seed, seed + 1), VOCABULARY, ENDS, options):
        for path in paths:
            fed = (START, *tokens_of(path))
            grams = [fed[place : place + n] for place in range(len(fed) - n + 1)]
            assert len(set(grams)) == len(grams)


@plainly
@given(
    seeds,
    widths,
    st.lists(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=3), min_size=1, max_size=20),
    st.sets(st.sampled_from(WORDS), min_size=1, max_size=4),
    st.data(),
)
def test_no_hypothesis_has_what_is_banned(seed, width, banned, suppressed, data):
    bad_words = tuple(tuple(words) for words in banned)
    numbers = data.draw(numbers_of(width))
    options = SearchOptions(
        **width,
        **numbers,
        bad_words_ids=bad_words,
        suppress_tokens=tuple(sorted(suppressed)),
        n_best=width["beams"],
    )
    for paths in search(models_of(seed), VOCABULARY, ENDS, options):
        for path in paths:
            tokens = tokens_of(path)
            assert not set(tokens) & suppressed
            fed = (START, *tokens)
            for words in bad_words:
                if words != ENDS:
                    # A sequence counts once its last token is chosen; the start token is not.
                    stops = range(max(2, len(words)), len(fed) + 1)
                    assert not any(fed[stop - len(words) : stop] == words for stop in stops)


@plainly
@given(
    seeds,
    widths,
    st.lists(
        st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=5), min_size=1, max_size=12),
        min_size=2,
        max_size=2,
    ),
    st.booleans(),
    st.data(),
)
def test_every_answer_is_one_of_the_phrases(seed, width, sets, shared, data):
    phrases = [Phrases(phrase_set) for phrase_set in sets]
    if shared:
        phrases[1] = phrases[0]
    numbers = data.draw(numbers_of(width)) | {"max_length": 6, "min_length": 0}
    options = SearchOptions(
        **width, **numbers, phrases=phrases[0] if shared else tuple(phrases), n_best=width["beams"]
    )
    for image, paths in enumerate(search(models_of(seed, seed + 1), VOCABULARY, ENDS, options)):
        assert paths
        for path in paths:
            tokens = tokens_of(path)
            assert tokens[-1] in ENDS
            assert tokens[:-1] in phrases[image].sequences


@plainly
@given(
    seeds,
    widths,
    st.lists(st.lists(st.sampled_from(WORDS[:6]), min_size=1, max_size=5), min_size=2, max_size=12),
    st.lists(st.lists(st.integers(0, 6), min_size=2, max_size=3), min_size=1, max_size=8),
    st.integers(0, 3),
)
def test_every_answer_is_one_of_the_phrases_that_may_come(seed, width, sequences, banned, least):
    """However the beams are led on: a phrase whose end is forbidden is not begun."""
    options = SearchOptions(
        **width,
        max_length=6,
        min_length=least,
        phrases=Phrases(sequences),
        bad_words_ids=tuple(map(tuple, banned)),
        no_repeat_ngram_size=2,
        n_best=width["beams"],
    )
    bans = Bans.of(options, START, ENDS)
    allowed = {tuple(phrase) for phrase in sequences if bans.allow(tuple(phrase))}
    assume(allowed)
    (paths,) = search(models_of(seed), VOCABULARY, ENDS, options)
    assert paths
    assert all(path.tokens[-1] in ENDS and tokens_of(path)[:-1] in allowed for path in paths)


@plainly
@given(seeds, st.one_of(widths, st.just(groups)), st.permutations(range(4)), st.data())
def test_a_permuted_batch_gives_permuted_answers(seed, width, order, data):
    numbers = data.draw(numbers_of(width))
    options = SearchOptions(**width, **numbers, n_best=width["beams"])
    models = models_of(*range(seed, seed + 4))
    straight = search(models, VOCABULARY, ENDS, options)
    permuted = search([models[image] for image in order], VOCABULARY, ENDS, options)
    for place, image in enumerate(order):
        assert_same(permuted[place], straight[image])
    (alone,) = search(models[:1], VOCABULARY, ENDS, options)
    assert_same(alone, straight[0])


def assert_same(paths, others):
    assert [tokens_of(path) for path in paths] == [tokens_of(path) for path in others]
    assert [path.score for path in paths] == pytest.approx([path.score for path in others], abs=1e-5)


@plainly
@given(seeds, st.sampled_from([1, 2, 5]), st.data())
def test_the_n_best_are_sorted_distinct_and_the_first_of_more(seed, beams, data):
    numbers = data.draw(numbers_of({}))
    every = SearchOptions(beams, **numbers, n_best=beams)
    (paths,) = search(models_of(seed), VOCABULARY, ENDS, every)
    scores = [path.score for path in paths]
    assert scores == sorted(scores, reverse=True)
    assert len({tokens_of(path) for path in paths}) == len(paths) <= beams
    fewer = SearchOptions(beams, **numbers, n_best=(beams + 1) // 2)
    (first,) = search(models_of(seed), VOCABULARY, ENDS, fewer)
    assert [tokens_of(path) for path in first] == [tokens_of(path) for path in paths][: len(first)]
    assert len(first) == min((beams + 1) // 2, len(paths))


@plainly
@given(
    seeds,
    st.sampled_from([24, 27, 32]),
    st.sampled_from([1, 2, 5, 12, 24]),
    st.floats(-2, 2),
    st.sampled_from([{}, {"length_penalty_type": "gnmt"}, {"no_repeat_ngram_size": 2}]),
    st.sampled_from([False, True, "never"]),
)
def test_widening_a_full_width_beam_never_lowers_the_best_score(seed, full, narrow, penalty, more, stopping):
    """Of three tokens and four steps, 24 beams keep every prefix and 31 sequences are all there are."""
    model = cache(random_model(seed, 3, (1,), 1.5))

    def best(beams: int) -> float:
        options = SearchOptions(beams, 4, 0, penalty, stopping if beams > 31 else "never", **more)
        ((path,),) = search([model], 3, (1,), options)
        return path.score

    assert best(32) >= best(full) - 1e-5
    assert best(full) >= best(narrow) - 1e-5


@plainly
@given(seeds, widths, st.lists(st.integers(1, 9), min_size=3, max_size=3), st.data())
def test_each_pictures_maximum_is_its_own(seed, width, lengths, data):
    numbers = data.draw(numbers_of(width)) | {"min_length": 0}
    models = models_of(*range(seed, seed + 3))
    numbers["max_length"] = tuple(lengths)
    together = search(models, VOCABULARY, ENDS, SearchOptions(**width, **numbers, n_best=width["beams"]))
    for model, length, paths in zip(models, lengths, together, strict=True):
        single = SearchOptions(**width, **(numbers | {"max_length": length}), n_best=width["beams"])
        assert_same(paths, search([model], VOCABULARY, ENDS, single)[0])


class TenMillisecondsAStep(Clock):
    """Time passes in the decoder's steps alone."""

    @property
    def total_ms(self) -> float:
        return 10.0 * self.steps

    steps = 0

    def stage(self, name: str):
        self.steps += name == "step"
        return super().stage(name)


@plainly
@given(seeds, st.sampled_from([1, 4]), st.integers(0, 90))
def test_a_deadline_is_kept_within_a_step_and_never_gives_nothing(seed, beams, deadline_ms):
    whole = SearchOptions(beams, 9, 1, n_best=beams)
    history, (paths,) = search_all(models_of(seed), VOCABULARY, ENDS, whole)
    hurried = SearchOptions(beams, 9, 1, n_best=beams, deadline_ms=deadline_ms)
    cut, (found,) = search_all(models_of(seed), VOCABULARY, ENDS, hurried, clock=TenMillisecondsAStep())
    steps = min(max(-(-deadline_ms // 10), 1), len(history.tokens))
    assert len(cut.tokens) == steps
    assert found
    assert all(len(path.tokens) for path in found)
    np.testing.assert_array_equal(cut.tokens, history.tokens[:steps])
    if steps == len(history.tokens):
        assert [tokens_of(path) for path in found] == [tokens_of(path) for path in paths]
    finished = cut.finished_steps[0].any()
    assert (len(found[0].tokens) < steps or found[0].tokens[-1] in ENDS) == finished or steps == 9


@pytest.mark.parametrize("deadline_ms", [0, 70, 160])
def test_a_deadline_is_kept_on_the_clock(deadline_ms):
    """A step takes 50 ms, and what is beside it less than another: one step too many would be seen."""

    class Slow(SharedBackend):
        def step(self, tokens, parents, state, memory):
            time.sleep(0.05)
            return super().step(tokens, parents, state, memory)

    options = SearchOptions(4, 9, 9, deadline_ms=deadline_ms)
    backend = Slow(models_of(1), VOCABULARY, len(ENDS), 9)
    images, special = np.zeros((1, 1, 1, 3), np.uint8), SpecialTokens(START, ENDS)
    decode(backend, images, SearchOptions(4, 1), special, Clock())  # the graph is there
    took = []
    for _ in range(3):
        started = time.perf_counter()
        history = decode(backend, images, options, special, Clock())
        took.append(1e3 * (time.perf_counter() - started))
    assert not history.done.any()
    assert trace_back(history, 0, 1)[0].tokens.size == len(history.tokens)
    assert min(took) < deadline_ms + 50 + 45


@plainly
@given(seeds, st.one_of(widths, st.just(groups)), st.data())
def test_a_settled_token_is_never_taken_back(seed, width, data):
    options = SearchOptions(**width, **data.draw(numbers_of(width)))
    steps = settled_by_step(seed, options)
    for earlier, later in itertools.pairwise(steps):
        assert later[: len(earlier)] == earlier


def test_tokens_settle_before_the_end():
    """Otherwise the property above would say nothing: of greedy search each token settles at once."""
    greedy = settled_by_step(1, SearchOptions(1, 9, 5))
    assert [len(tokens) for tokens in greedy[:-1]] == list(range(1, len(greedy)))
    early = 0
    for seed in range(40):
        *before, whole = settled_by_step(seed, SearchOptions(4, 9, 1))
        early += bool(before and 0 < len(before[-2:][0]) < len(whole))
    assert early >= 3


def settled_by_step(seed: int, options: SearchOptions) -> list[tuple[int, ...]]:
    """What is settled after each step, and at the end the answer."""
    backend = SharedBackend(models_of(seed), VOCABULARY, len(ENDS), options.longest)
    images = np.zeros((1, 1, 1, 3), np.uint8)
    search_ = Search(backend, images, options, SpecialTokens(START, ENDS), Clock())
    settling, steps = Settling(), []
    going = True
    while going:
        going = search_.advance()
        steps.append(settling.after(search_.latest()))
    return [*steps, tokens_of(trace_back(search_.history(), 0, 1)[0])]
