"""Tries against a set of prefixes, which is a trie too: every node, and every token in it, has to agree."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnrnn.core.errors import OptionsError
from cnnrnn.core.phrases import NOBODY, Phrases, Trie, build_trie, join_tries
from cnnrnn.core.search_bans import Bans

plainly = settings(deadline=None, derandomize=True, database=None, max_examples=60)


@st.composite
def phrase_sets(draw):
    """Phrases, a vocabulary and its end tokens."""
    vocabulary = draw(st.integers(2, 40))
    ends = draw(st.sets(st.integers(0, vocabulary - 1), min_size=1, max_size=min(3, vocabulary - 1)))
    words = st.sampled_from([token for token in range(vocabulary) if token not in ends])
    phrases = draw(st.lists(st.lists(words, min_size=1, max_size=6), min_size=1, max_size=40))
    return phrases, vocabulary, tuple(ends)


def prefixes(phrases, ends):
    """Each prefix that may come, and the tokens that may follow it."""
    following: dict[tuple[int, ...], set[int]] = {}
    for phrase in phrases:
        for length, token in enumerate(phrase):
            following.setdefault(tuple(phrase[:length]), set()).add(token)
        following.setdefault(tuple(phrase), set()).update(ends)
        following.update({(*phrase, end): set() for end in ends})
    return following


def assert_is(base, check, root, following, vocabulary):
    """The graph's rule, for every node and all tokens at once, gives what the prefixes give."""
    nodes = {(): int(root)}
    for prefix in sorted(following, key=len):
        node = nodes[prefix]
        allowed = np.flatnonzero(check[base[node] + np.arange(vocabulary)] == node)
        assert set(allowed.tolist()) == following[prefix]
        nodes.update({(*prefix, token): int(base[node]) + token for token in following[prefix]})
    assert len(set(nodes.values())) == len(nodes)


def assert_in_range(base, check, vocabulary):
    assert (base.dtype, check.dtype) == (np.int32, np.int32)
    assert base.shape == check.shape
    assert base.min() >= 0
    assert check.min() >= NOBODY
    assert check.max() < len(check)
    assert int(base.max()) + vocabulary <= len(check)


@plainly
@given(phrase_sets())
def test_the_graphs_rule_gives_what_a_plain_trie_gives(phrase_set):
    phrases, vocabulary, ends = phrase_set
    trie = build_trie(phrases, vocabulary, ends)
    assert_in_range(trie.base, trie.check, vocabulary)
    assert_is(trie.base, trie.check, trie.root, prefixes(phrases, ends), vocabulary)


@plainly
@given(st.lists(phrase_sets(), min_size=1, max_size=4), st.integers(0, 3))
def test_joined_tries_are_each_what_they_were(phrase_sets, again):
    vocabulary = max(vocabulary for _, vocabulary, _ in phrase_sets)
    tries = [build_trie(phrases, vocabulary, ends) for phrases, _, ends in phrase_sets]
    places = [*range(len(tries)), again % len(tries)]
    base, check, roots = join_tries([tries[place] for place in places])
    assert len(base) == sum(len(trie.base) for trie in tries), "a trie given twice is there once"
    assert_in_range(base, check, vocabulary)
    assert roots.dtype == np.int32
    for place, root in zip(places, roots.tolist(), strict=True):
        phrases, _, ends = phrase_sets[place]
        assert_is(base, check, root, prefixes(phrases, ends), vocabulary)


def test_following_phrase_by_phrase():
    trie = build_trie([(3, 4), (3, 5, 6), (3,)], 8, (2,))
    assert walk(trie, (3, 4, 2)) is not None
    assert walk(trie, (3, 2)) is not None
    for absent in ((2,), (4,), (3, 5, 2), (3, 4, 5), (3, 2, 2), (7,)):
        assert walk(trie, absent) is None


def walk(trie: Trie, tokens: tuple[int, ...]) -> int | None:
    node: int | None = trie.root
    for token in tokens:
        if node is not None:
            node = trie.follow(node, token)
    return node


@pytest.mark.parametrize("kind", ["even", "uneven", "few words"])
def test_ten_thousand_phrases_take_about_a_second(kind):
    random = np.random.default_rng(0)
    vocabulary = 10_000

    def phrase() -> list[int]:
        length = random.integers(1, 13)
        if kind == "uneven":
            return np.minimum(2 + random.zipf(1.2, length), vocabulary - 1).tolist()
        return random.integers(3, vocabulary if kind == "even" else 20, length).tolist()

    phrases = [phrase() for _ in range(10_000)]
    before = time.process_time()
    trie = build_trie(phrases, vocabulary, (2,))
    assert time.process_time() - before < 2
    assert_in_range(trie.base, trie.check, vocabulary)
    nodes = np.count_nonzero(trie.check != NOBODY) + 1
    assert len(trie.base) < 2 * nodes, "the tables should be mostly nodes"
    following = prefixes(phrases, (2,))
    assert nodes == len(following)
    for number in random.integers(0, len(phrases), 300).tolist():
        assert walk(trie, (*phrases[number], 2)) is not None
    for _ in range(300):
        absent = (*phrases[int(random.integers(len(phrases)))], int(random.integers(3, vocabulary)))
        assert (walk(trie, absent) is not None) == (absent in following)


@pytest.mark.parametrize("vocabulary", [2, 250_000])
def test_the_smallest_and_the_largest_vocabulary(vocabulary):
    trie = build_trie([(vocabulary - 1,)], vocabulary, (0,))
    assert_in_range(trie.base, trie.check, vocabulary)
    assert_is(trie.base, trie.check, trie.root, prefixes([(vocabulary - 1,)], (0,)), vocabulary)
    assert len(trie.base) < vocabulary + 10


@pytest.mark.parametrize(
    ("phrases", "message"),
    [
        ([], "phrases is an empty list: 0 phrases, at least 1; leave it out for every text"),
        ([(3,), ()], "phrase 1 has 0 tokens, at least 1; leave it out"),
        ([(3, 9)], "phrase 0 has token 9, outside 0 to 8, the vocabulary; use the tokenizer of this bundle"),
        ([(3,), (-1, 3)], "phrase 1 has token -1, outside 0 to 8"),
        ([(3, 2, 4)], "phrase 0 has the end token 2 inside it, at most 0 of 1, 2; leave it out"),
        (["red"], "phrase 0 is the text 'red'; give token ids, or use Phrases.of_texts"),
        ([(3,), (3.5,)], r"phrase 1, \(3.5,\), is no sequence of integers; give token ids"),
        ([3], "phrase 0, 3, is no sequence of integers; give token ids"),
    ],
)
def test_phrases_that_are_none(phrases, message):
    with pytest.raises(OptionsError, match=message):
        build_trie(phrases, 9, (1, 2))


def test_end_tokens_and_joins_that_are_none():
    with pytest.raises(OptionsError, match="ends is empty: 0 end tokens, at least 1"):
        build_trie([(1,)], 3, ())
    with pytest.raises(OptionsError, match="end token 3 is outside 0 to 2, the vocabulary"):
        build_trie([(1,)], 3, (3,))
    with pytest.raises(OptionsError, match="0 tries cannot be joined, at least 1"):
        join_tries([])


def test_phrases_are_hashed_by_identity_and_build_their_trie_once():
    phrases = Phrases([np.array([3, 4]), [3]])
    assert phrases.sequences == ((3, 4), (3,))
    assert all(type(token) is int for phrase in phrases.sequences for token in phrase)
    assert (len(phrases), phrases.longest) == (2, 2)
    assert {phrases: 1}[phrases] == 1
    assert phrases != Phrases([[3, 4], [3]])
    assert phrases.trie(6, (2,)) is phrases.trie(6, [2])
    assert phrases.trie(6, (2,)) is not phrases.trie(7, (2,))


def test_phrases_from_texts(tokenizer):
    phrases = Phrases.of_texts(["a red cat", "a cat"], tokenizer)
    assert [tokenizer.decode(sequence) for sequence in phrases.sequences] == ["a red cat", "a cat"]
    for texts, message in (
        ([], "phrases is an empty list"),
        (["cat", " "], "phrase 1, ' ', has 0 tokens, at least 1; leave it out"),
        (["a dog"], "phrase 0 'a dog' has 'dog', which the vocabulary of 7 lacks; leave it out"),
    ):
        with pytest.raises(OptionsError, match=message):
            Phrases.of_texts(texts, tokenizer)


def test_phrases_that_may_not_come_are_left_out_once():
    phrases = Phrases([(4, 5), (4,), (6,)])
    nothing, four = (Bans(tokens, (), 0, 1, 0, (2,)) for tokens in ((), (4,)))
    assert phrases.allowed_by(nothing) is phrases
    left = phrases.allowed_by(four)
    assert left is not None
    assert left.sequences == ((6,),)
    assert phrases.allowed_by(Bans((4,), (), 0, 1, 0, (2,))) is left
    assert phrases.allowed_by(Bans((4, 6), (), 0, 1, 0, (2,))) is None
    assert phrases.allowed_by(Bans((), (), 0, 3, 0, (2,))) is None
    assert phrases.allowed_by(nothing) is phrases
