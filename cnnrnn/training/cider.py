"""CIDEr-D (Vedantam et al. 2015) over arrays of token ids, fast enough to be a reward at every step.

The formula is ``pycocoevalcap``'s, to the last of its habits: a caption's length is the number of its word
pairs, words that no reference has weigh the most, and the mean is over one to four words and then over
references.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ORDERS = 4
SIGMA = 6.0
"""Deviation of the Gaussian penalty on a caption's length, in words."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Order:
    """The references' n-grams of one length.

    Attributes:
        codes: (G,) sorted, each n-gram that there is: its first n - 1 words' number and its last word.
        weights: (G,) inverse document frequency in nats.
        first: (R + 1,) where each reference's entries begin in ``grams`` and ``counts``.
        grams: (E,) int32, which n-gram, rising within a reference.
        counts: (E,) int32, how often.
        norms: (R,) length of each reference's vector.
    """

    codes: Ints
    weights: Floats
    first: Ints
    grams: NDArray[np.int32]
    counts: NDArray[np.int32]
    norms: Floats


class CiderD:
    """CIDEr-D of captions against fixed references, whose pictures are the documents that weigh the words.

    Args:
        references: of each picture its captions as token ids; a picture may have none, and then scores 0.
        vocabulary: V, above every id.
    """

    def __init__(self, references: Sequence[Sequence[Sequence[int]]], vocabulary: int) -> None:
        self.vocabulary = vocabulary
        self.pictures = sum(map(bool, references))
        counts = [len(captions) for captions in references]
        self._first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        picture = np.repeat(np.arange(len(counts)), counts)
        tokens, owner = _flat(caption for captions in references for caption in captions)
        self._lengths = _pairs_of_words(owner, len(picture))
        self._unseen = float(np.log(max(self.pictures, 1)))
        self._orders: list[_Order] = []
        prefix = np.zeros(len(tokens), np.int64)
        for order in range(1, ORDERS + 1):
            starts, codes = _codes(tokens, owner, prefix, order, vocabulary)
            known, grams = np.unique(codes, return_inverse=True)
            self._orders.append(self._order(known, grams.reshape(-1), owner[starts], picture))
            prefix[starts] = grams.reshape(-1)

    def _order(self, known: Ints, grams: Ints, owner: Ints, picture: Ints) -> _Order:
        entries, counts = np.unique(owner * max(len(known), 1) + grams, return_counts=True)
        owners, grams = np.divmod(entries, max(len(known), 1))
        seen = np.unique(picture[owners] * max(len(known), 1) + grams) % max(len(known), 1)
        weights = self._unseen - np.log(np.maximum(np.bincount(seen, minlength=len(known)), 1.0))
        references = len(picture)
        return _Order(
            codes=known,
            weights=weights,
            first=np.searchsorted(owners, np.arange(references + 1)),
            grams=grams.astype(np.int32),
            counts=counts.astype(np.int32),
            norms=np.sqrt(np.bincount(owners, (counts * weights[grams]) ** 2, minlength=references)),
        )

    def score(self, pictures: Sequence[int] | Ints, captions: Sequence[Sequence[int]]) -> Floats:
        """The score of each caption, from 0 to 10.

        Args:
            pictures: (N,) which picture's references each is compared with.
            captions: N of them, token ids; an id may be new to the references.

        Returns:
            (N,) float64.
        """
        chosen = np.asarray(pictures, np.int64)
        tokens, owner = _flat(captions)
        lengths = _pairs_of_words(owner, len(captions))
        rivals = self._first[chosen + 1] - self._first[chosen]
        caption = np.repeat(np.arange(len(captions)), rivals)
        reference = _ranges(self._first[chosen], rivals)
        penalty = np.exp(-((lengths[caption] - self._lengths[reference]) ** 2) / (2 * SIGMA**2))
        total = np.zeros(len(caption))
        prefix = np.zeros(len(tokens), np.int64)
        for number, order in enumerate(self._orders, 1):
            starts, codes = _codes(tokens, owner, prefix, number, self.vocabulary)
            prefix[starts] = _look_up(order.codes, codes)
            total += self._similar(order, prefix[starts], owner[starts], caption, reference)
        scores = np.bincount(caption, total * penalty, minlength=len(captions))
        return 10 * scores / ORDERS / np.maximum(rivals, 1)

    def _similar(self, order: _Order, grams: Ints, owner: Ints, caption: Ints, reference: Ints) -> Floats:
        """(M,) clipped cosine of each caption with each of its references."""
        span = max(len(order.codes), int(grams.max(initial=0)) + 1)
        keys, counts = np.unique(owner * span + grams, return_counts=True)
        owners, grams = np.divmod(keys, span)
        weights = np.append(order.weights, self._unseen)[np.minimum(grams, len(order.weights))]
        values = counts * weights
        norms = np.sqrt(np.bincount(owners, values**2, minlength=int(caption.max(initial=-1)) + 1))

        sizes = order.first[reference + 1] - order.first[reference]
        entry = _ranges(order.first[reference], sizes)
        pair = np.repeat(np.arange(len(reference)), sizes)
        wanted = caption[pair] * span + order.grams[entry]
        place = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
        both = np.flatnonzero(keys[place] == wanted) if len(keys) else np.zeros(0, np.int64)
        theirs = order.counts[entry[both]] * order.weights[order.grams[entry[both]]]
        common = np.minimum(values[place[both]], theirs) * theirs
        products = np.bincount(pair[both], common, minlength=len(reference))
        scale = norms[caption] * order.norms[reference]
        return np.divide(products, scale, out=np.zeros(len(reference)), where=scale > 0)


def _flat(captions: Iterable[Sequence[int]]) -> tuple[Ints, Ints]:
    """All tokens in a row, and which caption each is of."""
    rows = [np.asarray(caption, np.int64) for caption in captions]
    tokens = np.concatenate([np.zeros(0, np.int64), *rows])
    return tokens, np.repeat(np.arange(len(rows)), [len(row) for row in rows])


def _pairs_of_words(owner: Ints, captions: int) -> Ints:
    return np.maximum(np.bincount(owner, minlength=captions) - 1, 0)


def _codes(tokens: Ints, owner: Ints, prefix: Ints, order: int, vocabulary: int) -> tuple[Ints, Ints]:
    """Where the n-grams begin that lie within one caption, and their codes.

    ``prefix`` holds, at the beginning of each, the number of its first n - 1 words.
    """
    starts = np.arange(max(len(tokens) - order + 1, 0))
    starts = starts[owner[starts] == owner[starts + order - 1]]
    return starts, prefix[starts] * vocabulary + tokens[starts + order - 1]


def _look_up(known: Ints, codes: Ints) -> Ints:
    """The number of each code; one that is not known gets a number of its own above those."""
    place = np.searchsorted(known, codes)
    found = np.zeros(len(codes), bool)
    inside = place < len(known)
    found[inside] = known[place[inside]] == codes[inside]
    _, strange = np.unique(codes[~found], return_inverse=True)
    place[~found] = len(known) + strange.reshape(-1)
    return place


def _ranges(first: Ints, sizes: Ints) -> Ints:
    """``first[0], first[0] + 1, ...`` of each size, one after another."""
    ends = np.cumsum(sizes)
    return np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - sizes - first, sizes)
