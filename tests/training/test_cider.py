"""CIDEr-D against ``pycocoevalcap``, whose numbers it has to give to the last digits."""

from __future__ import annotations

import numpy as np
import pytest

from cnnrnn.training.cider import CiderD

VOCABULARY = 12


def captions(random: np.random.Generator, count: int) -> list[list[int]]:
    """Of few words, so that n-grams are shared and repeated; some are empty or a word long."""
    return [random.integers(0, VOCABULARY, random.integers(0, 11)).tolist() for _ in range(count)]


def theirs(references: list[list[list[int]]], given: dict[int, list[int]]) -> np.ndarray:
    """``pycocoevalcap``'s score of one caption a picture, the others' being empty."""
    scorer = pytest.importorskip("pycocoevalcap.cider.cider_scorer").CiderScorer()
    for number, several in enumerate(references):
        scorer += (text(given.get(number, [])), [text(caption) for caption in several])
    _, scores = scorer.compute_score()
    return np.asarray([scores[number] for number in given])


def text(caption: list[int]) -> str:
    return " ".join(f"w{token}" for token in caption)


@pytest.mark.parametrize("seed", range(4))
def test_equals_pycocoevalcap(seed: int) -> None:
    random = np.random.default_rng(seed)
    references = [captions(random, int(random.integers(1, 6))) for _ in range(40)]
    metric = CiderD(references, VOCABULARY + 3)
    # Half are near a reference, and some have words that no reference has, twice the same among them.
    given = captions(random, 40)
    for number in range(0, 40, 2):
        given[number] = [*references[number][0][:5], *random.integers(0, VOCABULARY + 3, 3).tolist()]
    given[1] = [VOCABULARY, VOCABULARY + 1, VOCABULARY, VOCABULARY + 1, VOCABULARY]
    expected = theirs(references, dict(enumerate(given)))
    assert expected.max() > 1
    np.testing.assert_allclose(metric.score(range(40), given), expected, rtol=1e-12, atol=1e-12)


def test_some_pictures_several_times_over_have_the_weights_of_all() -> None:
    random = np.random.default_rng(5)
    references = [captions(random, 3) for _ in range(20)]
    metric = CiderD(references, VOCABULARY)
    pictures = [7, 3, 7, 7, 19, 3]
    given = [references[number][turn % 3] for turn, number in enumerate(pictures)]
    expected = [
        theirs(references, {number: caption})[0] for number, caption in zip(pictures, given, strict=True)
    ]
    np.testing.assert_allclose(metric.score(pictures, given), expected, rtol=1e-12)


def test_an_end_token_counts_as_a_word() -> None:
    """Of two captions that stop early, the one that says so is nearer to a reference that ends there."""
    end = 2
    metric = CiderD([[[4, 5, 6, end]], [[7, 8, end]], [[9, 8, end]]], 10)
    with_end, without = metric.score([0, 0], [[4, 5, 6, end], [4, 5, 6]])
    assert with_end > without
    np.testing.assert_allclose(
        [with_end, without],
        [
            theirs([[[4, 5, 6, end]], [[7, 8, end]], [[9, 8, end]]], {0: caption})[0]
            for caption in ([4, 5, 6, end], [4, 5, 6])
        ],
    )


def test_nothing_scores_nothing() -> None:
    metric = CiderD([[[4, 5]], [], [[4]]], 10)
    assert metric.score([0, 1, 2], [[], [4, 5], []]).tolist() == [0, 0, 0]
    assert metric.score([], []).shape == (0,)
    assert CiderD([[], []], 10).score([1], [[4, 5]]).tolist() == [0]
