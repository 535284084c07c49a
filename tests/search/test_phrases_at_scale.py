"""10,000 phrases of up to 12 tokens: the answers of Transformers, and no step of the host."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from cnnrnn.core.phrases import Phrases, join_tries
from cnnrnn.core.search import SearchOptions
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.loop import Search, SpecialTokens
from tests.runtime.reference_search import random_model
from tests.search.searching import START, SharedBackend, search, tokens_of

VOCABULARY, END = 10_000, 2


@cache
def phrases(seed: int) -> Phrases:
    """10,000 different ones of 1 to 12 tokens; many begin alike, as names do."""
    draw = np.random.default_rng(seed)
    found: dict[tuple[int, ...], None] = {}
    while len(found) < 10_000:
        length = int(draw.integers(1, 13))
        first = draw.integers(3, 60, min(length, 3)).tolist()
        found[(*first, *draw.integers(3, VOCABULARY, length - len(first)).tolist())] = None
    return Phrases(found)


def models(count: int):
    return [cache(random_model(seed, VOCABULARY, (END,))) for seed in range(count)]


@pytest.mark.parametrize("own", [False, True], ids=["shared", "each its own"])
def test_the_answers_are_those_of_transformers(own):
    pytest.importorskip("transformers")
    from tests.search.transformers_search import generate

    given = (phrases(0), phrases(1)) if own else phrases(0)
    options = SearchOptions(5, 13, n_best=5, phrases=given)
    wanted = generate(START, models(2), VOCABULARY, (END,), options)
    for image, (answers, paths) in enumerate(
        zip(wanted, search(models(2), VOCABULARY, (END,), options), strict=True)
    ):
        assert [tokens_of(path) for path in paths] == [answer.tokens for answer in answers]
        assert [path.score for path in paths] == pytest.approx([a.score for a in answers], abs=1e-4)
        listed = set(options.phrases_of(2)[image].sequences)
        assert all(tokens_of(path)[:-1] in listed for path in paths)


class Counting(SharedBackend):
    """Notes the size of what goes to the host and comes from it."""

    to_host_sizes: list[int]
    from_host_sizes: list[int]

    def to_host(self, tensor):
        self.to_host_sizes.append(np.size(tensor))
        return super().to_host(tensor)

    def from_host(self, array):
        self.from_host_sizes.append(np.size(array))
        return super().from_host(array)


@pytest.mark.parametrize(
    "more",
    [
        {"phrases": "made when the test runs"},
        {"no_repeat_ngram_size": 3, "repetition_penalty": 1.2, "prefix": (5, 6)},
        {"do_sample": True, "top_p": 0.9},
        {"num_beam_groups": 2, "diversity_penalty": 0.4},
    ],
    ids=["phrases", "history", "sampling", "groups"],
)
def test_between_steps_the_host_gets_one_number(more: dict[str, Any]):
    backend = Counting(models(2), VOCABULARY, 1, 13)
    backend.to_host_sizes, backend.from_host_sizes = [], []
    images = np.zeros((2, 1, 1, 3), np.uint8)
    options = SearchOptions(4, 13, 3, **more)
    if options.phrases is not None:
        options = replace(options, phrases=phrases(0))
    going = Search(backend, images, options, SpecialTokens(START, (END,)), Clock())
    steps = 0
    while True:
        backend.to_host_sizes.clear()
        backend.from_host_sizes.clear()
        more_to_do = going.advance()
        steps += 1
        assert (backend.to_host_sizes, backend.from_host_sizes) == ([1], [])
        if not more_to_do:
            break
    assert steps > 3


def test_tables_of_a_batch_are_joined_once():
    one, other = phrases(0), phrases(1)
    first = Phrases.joined((one, other), VOCABULARY, (END,))
    assert Phrases.joined((one, other), VOCABULARY, (END,)) is first
    swapped = Phrases.joined((other, one), VOCABULARY, (END,))
    assert swapped is not first
    tries = [each.trie(VOCABULARY, (END,)) for each in (other, one)]
    for kept, made in zip((swapped.base, swapped.check, swapped.roots), join_tries(tries), strict=True):
        np.testing.assert_array_equal(kept, made)
    alone = Phrases.joined((one, one), VOCABULARY, (END,))
    assert alone.base is one.trie(VOCABULARY, (END,)).base
    assert alone.roots.tolist() == [0, 0]
