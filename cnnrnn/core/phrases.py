"""A vocabulary of whole answers: phrases as a trie in two int32 tables, so that a graph can follow it.

The tables are a double-array trie (Aoe, "An Efficient Digital Search Algorithm by Using a Double-Array
Structure", IEEE Transactions on Software Engineering 15, 1989). In node s the token t is allowed if and only
if ``check[base[s] + t] == s``, and the next node is then ``base[s] + t``. Each node is an index into both
tables, and ``base[s] + t`` is inside them for every node and every token, so that a graph needs two gathers
and no test of a range.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from operator import index
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cnnrnn.core.errors import OptionsError

if TYPE_CHECKING:
    from cnnrnn.core.search_bans import Bans
    from cnnrnn.core.tokenizer import Tokenizer

# In ``check``: no node is here, or the node is a root, which nothing leads to.
NOBODY = -1

# How many places are looked at together, at first, when a node's children are laid down.
_WINDOW = 256


@dataclass(frozen=True, eq=False)
class Trie:
    """The tables of one set of phrases; M is their length, at least the largest base plus the vocabulary.

    Attributes:
        base: (M) int32, at least 0.
        check: (M) int32: the node before, or `NOBODY`.
        root: the node of the empty prefix.
    """

    base: NDArray[np.int32]
    check: NDArray[np.int32]
    root: int

    def follow(self, node: int, token: int) -> int | None:
        """The node after ``token`` in ``node``, or None where it is not allowed: the rule of the graph."""
        place = int(self.base[node]) + token
        return place if self.check[place] == node else None


@dataclass(frozen=True, eq=False)
class Joined:
    """Several tries in one pair of tables; ``roots`` (one for each of ``tries``) int32."""

    tries: tuple[Trie, ...]
    base: NDArray[np.int32]
    check: NDArray[np.int32]
    roots: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Phrases:
    """The only answers that a search may give; compared and hashed by identity, so keep one and use it again.

    Attributes:
        sequences: each phrase's token ids, without start and end tokens.
    """

    sequences: tuple[tuple[int, ...], ...]
    _tries: dict[tuple[int, tuple[int, ...]], Trie] = field(default_factory=dict, init=False, repr=False)
    _joined: list[Joined] = field(default_factory=list, init=False, repr=False)
    _allowed: list[tuple[Bans, Phrases | None]] = field(default_factory=list, init=False, repr=False)

    def __init__(self, sequences: Iterable[Iterable[int]]) -> None:
        """Take phrases as sequences of token ids.

        Raises:
            OptionsError: there is none, one is empty, or a token is no integer.
        """
        taken = tuple(_tokens(number, phrase) for number, phrase in enumerate(sequences))
        if not taken:
            raise OptionsError("phrases is an empty list: 0 phrases, at least 1; leave it out for every text")
        object.__setattr__(self, "sequences", taken)
        object.__setattr__(self, "_tries", {})
        object.__setattr__(self, "_joined", [])
        object.__setattr__(self, "_allowed", [])

    @classmethod
    def of_texts(cls, texts: Iterable[str], tokenizer: Tokenizer) -> Phrases:
        """Take phrases as texts, each as this tokenizer spells it; one text is one phrase.

        Raises:
            OptionsError: there is none, or one has no tokens, or a word that the tokenizer lacks.
        """
        listed = [texts] if isinstance(texts, str) else texts
        if not isinstance(listed, Iterable):
            raise OptionsError(f"phrases has {texts!r}, which is no list of texts; give ['a cat', 'a dog']")
        return cls.of_places(((f"phrase {number}", text) for number, text in enumerate(listed)), tokenizer)

    @classmethod
    def of_places(cls, texts: Iterable[tuple[str, str]], tokenizer: Tokenizer) -> Phrases:
        """As `of_texts`, of texts that each have a name for messages, such as a file and its line."""
        sequences = []
        for place, text in texts:
            if not isinstance(text, str):
                raise OptionsError(
                    f"{place} is {text!r}, which is no text; give texts, or Phrases(...) of token ids"
                )
            tokens = tokenizer.spell(text, place)
            if not tokens:
                raise OptionsError(f"{place}, {text!r}, has 0 tokens, at least 1; leave it out")
            sequences.append(tokens)
        return cls(sequences)

    def __len__(self) -> int:
        return len(self.sequences)

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest phrase, the end token not counted."""
        return max(map(len, self.sequences))

    def trie(self, vocabulary: int, ends: Sequence[int]) -> Trie:
        """Their trie, built at the first call and kept; see `build_trie`."""
        key = (vocabulary, tuple(ends))
        if key not in self._tries:
            self._tries[key] = build_trie(self.sequences, vocabulary, key[1])
        return self._tries[key]

    def allowed_by(self, bans: Bans) -> Phrases | None:
        """Those that may come, or None where none may: a search that followed another could never end it.

        What the latest bans left is kept, so that the next search with them costs nothing.
        """
        kept = self._allowed[0] if self._allowed else None
        if kept is None or kept[0] != bans:
            left = [phrase for phrase in self.sequences if bans.allow(phrase)]
            kept = bans, (self if len(left) == len(self) else Phrases(left) if left else None)
            self._allowed[:] = [kept]
        return kept[1]

    @staticmethod
    def joined(phrases: Sequence[Phrases], vocabulary: int, ends: Sequence[int]) -> Joined:
        """The tries of a batch, one for each image, in one pair of tables.

        The latest batch is kept by the first of its phrases, so that the next call with it costs nothing.
        """
        tries = tuple(each.trie(vocabulary, ends) for each in phrases)
        kept = phrases[0]._joined
        joined = kept[0] if kept else None
        if joined is None or joined.tries != tries:
            joined = Joined(tries, *join_tries(tries))
            kept[:] = [joined]
        return joined


def build_trie(phrases: Sequence[Sequence[int]], vocabulary: int, ends: Sequence[int]) -> Trie:
    """Build the trie of ``phrases``, each followed by any one of the end tokens.

    Args:
        phrases: token ids, without end tokens; the same phrase may come twice.
        vocabulary: V; every token is below it.
        ends: the tokens that end an answer.

    Raises:
        OptionsError: no phrase, an empty one, a token outside the vocabulary, or an end token in a phrase.
    """
    whole = _checked(phrases, vocabulary, ends)
    parents, tokens = _edges(sorted((*phrase, end) for phrase in whole for end in sorted(set(ends))))
    return _lay_down(parents, tokens, vocabulary)


def join_tries(tries: Sequence[Trie]) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Several tries in one pair of tables, for a batch whose images have phrases of their own.

    Returns:
        ``base`` (M), ``check`` (M) and ``roots``, one for each of ``tries``, all int32. A trie that is given
        several times is there once; one that is alone gives its own tables, which are not to be changed.
    """
    if not tries:
        raise OptionsError("0 tries cannot be joined, at least 1; give one for each image")
    if all(trie is tries[0] for trie in tries):
        return tries[0].base, tries[0].check, np.full(len(tries), tries[0].root, np.int32)
    places: dict[int, int] = {}
    bases, checks, roots = [], [], []
    length = 0
    for trie in tries:
        if id(trie) not in places:
            places[id(trie)] = length
            bases.append(trie.base + np.int32(length))
            checks.append(np.where(trie.check == NOBODY, NOBODY, trie.check + length))
            length += len(trie.base)
        roots.append(places[id(trie)] + trie.root)
    if length > np.iinfo(np.int32).max:
        raise OptionsError(
            f"the phrases of {len(places)} images need tables of {length} places, at most "
            f"{np.iinfo(np.int32).max}; caption fewer images at once"
        )
    return np.concatenate(bases), np.concatenate(checks).astype(np.int32), np.asarray(roots, np.int32)


def _tokens(number: int, phrase: Iterable[int]) -> tuple[int, ...]:
    if isinstance(phrase, str):
        raise OptionsError(f"phrase {number} is the text {phrase!r}; give token ids, or use Phrases.of_texts")
    try:
        tokens = tuple(index(token) for token in phrase)
    except TypeError as error:
        what = f"phrase {number}, {phrase!r}, is no sequence of integers"
        raise OptionsError(f"{what}; give token ids") from error
    if not tokens:
        raise OptionsError(f"phrase {number} has 0 tokens, at least 1; leave it out")
    return tokens


def _checked(phrases: Sequence[Sequence[int]], vocabulary: int, ends: Sequence[int]) -> set[tuple[int, ...]]:
    if not ends:
        raise OptionsError("ends is empty: 0 end tokens, at least 1; without one no phrase is ever complete")
    for end in ends:
        if not 0 <= end < vocabulary:
            raise OptionsError(f"end token {end} is outside 0 to {vocabulary - 1}, the vocabulary")
    stops = frozenset(ends)
    for number, phrase in enumerate(Phrases(phrases).sequences):
        if min(phrase) < 0 or max(phrase) >= vocabulary:
            outside = next(token for token in phrase if not 0 <= token < vocabulary)
            raise OptionsError(
                f"phrase {number} has token {outside}, outside 0 to {vocabulary - 1}, the vocabulary; "
                "use the tokenizer of this bundle"
            )
        if not stops.isdisjoint(phrase):
            inside = next(token for token in phrase if token in stops)
            raise OptionsError(
                f"phrase {number} has the end token {inside} inside it, at most 0 of "
                f"{', '.join(map(str, sorted(stops)))}; leave it out: each phrase is ended by itself"
            )
    return {tuple(phrase) for phrase in phrases}


def _edges(whole: list[tuple[int, ...]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The nodes of sorted sequences: each one's parent and token, nodes being numbered from 1, the root 0."""
    lengths = np.fromiter(map(len, whole), np.int64, len(whole))
    table = np.full((len(whole), lengths.max()), -1, np.int64)
    table[np.arange(table.shape[1]) < lengths[:, None]] = np.fromiter(chain.from_iterable(whole), np.int64)
    fresh = np.ones(table.shape, bool)
    fresh[1:] = np.logical_or.accumulate(table[1:] != table[:-1], axis=1)
    fresh &= table >= 0
    numbers = np.where(fresh, np.cumsum(fresh).reshape(fresh.shape), 0)
    # Sequences with a common prefix follow each other, so its node is the latest one above.
    numbers = np.maximum.accumulate(numbers, axis=0)
    before = np.concatenate([np.zeros((len(whole), 1), np.int64), numbers[:, :-1]], axis=1)
    return before[fresh], table[fresh]


def _lay_down(parents: NDArray[np.int64], tokens: NDArray[np.int64], vocabulary: int) -> Trie:
    """Give each node a place so that its siblings' places are a base plus their tokens."""
    nodes = len(parents) + 1
    order = np.argsort(parents, kind="stable")  # children of one node together, their tokens ascending
    children = np.bincount(parents, minlength=nodes)
    starts = np.concatenate([[0], np.cumsum(children)])
    place = np.zeros(nodes, np.int64)  # of each node; the root's is 0
    base = np.zeros(nodes, np.int64)
    free = _FreePlaces()
    for node in np.argsort(-children, kind="stable")[: np.count_nonzero(children > 1)].tolist():
        mine = order[starts[node] : starts[node + 1]]
        base[node] = free.take(tokens[mine])
        place[mine + 1] = base[node] + tokens[mine]
    lone = np.flatnonzero(children == 1)
    edges = order[starts[lone]]
    place[edges + 1] = free.take_each(tokens[edges])
    base[lone] = place[edges + 1] - tokens[edges]
    length = max(int(base.max()) + vocabulary, int(place.max()) + 1)
    bases, check = np.zeros(length, np.int32), np.full(length, NOBODY, np.int32)
    bases[place] = base
    check[place[1:]] = place[parents]
    return Trie(bases, check, 0)


class _FreePlaces:
    """Which places of the tables are not taken yet; place 0 is the root's."""

    def __init__(self) -> None:
        self._free = np.ones(_WINDOW, bool)
        self._free[0] = False
        self._high = 1  # after the last place that is taken
        self._start: dict[int, int] = {}  # where a node whose least token is this one last fitted

    def take(self, tokens: NDArray[np.int64]) -> int:
        """Take the places of a node's children, their tokens ascending, and return the node's base."""
        first, spread = int(tokens[0]), tokens - tokens[0]
        at, window = max(1, first, self._start.get(first, 0)), _WINDOW
        while True:  # from the highest place on everything is free, so this ends
            self._grow(at + window + int(spread[-1]))
            fits = self._free[at : at + window].copy()
            for step in spread[1:].tolist():
                fits &= self._free[at + step : at + step + window]
            if fits.any():
                break
            at, window = at + window, 2 * window
        at += int(fits.argmax())
        self._start[first] = at
        self._free[at + spread] = False
        self._high = max(self._high, at + int(spread[-1]) + 1)
        return at - first

    def take_each(self, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """Take one place for each token, not below it: any place does for an only child."""
        order = np.argsort(tokens, kind="stable")
        ranked = tokens[order]
        self._grow(self._high + len(tokens) + int(tokens.max(initial=0)) + 1)
        places = np.flatnonzero(self._free)
        numbers = np.arange(len(tokens))
        # The lowest free place after that of the token before, and not below the token itself.
        chosen = numbers + np.maximum.accumulate(np.searchsorted(places, ranked) - numbers)
        taken = np.empty(len(tokens), np.int64)
        taken[order] = places[np.maximum(chosen, numbers)]
        self._free[taken] = False
        return taken

    def _grow(self, length: int) -> None:
        if length > len(self._free):
            more = np.ones(max(length, 2 * len(self._free)) - len(self._free), bool)
            self._free = np.concatenate([self._free, more])
