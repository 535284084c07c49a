"""Scores against BLEU worked out by hand, and against what must be so."""

import math

import pytest

from cnnrnn.core.errors import DataError
from cnnrnn.evaluation import score_captions

REFERENCES = [
    ["a red disc on a table"],
    ["a blue square", "one blue square"],
    ["three green birds in a tree"],
]


def test_perfect_captions() -> None:
    scores = score_captions([texts[0] for texts in REFERENCES], REFERENCES)
    assert scores.pictures == 3
    assert scores.exact_match == 1.0
    assert scores.bleu_4 == pytest.approx(1.0, abs=1e-6)
    # 'a blue square' has no four-gram and shares CIDEr's ten points with its other reference.
    assert 5 < scores.cider < 10


def test_nothing_in_common() -> None:
    scores = score_captions(["x y z w v"] * 3, REFERENCES)
    assert scores.exact_match == 0.0
    assert scores.bleu_4 < 1e-6
    assert scores.cider == pytest.approx(0.0, abs=1e-9)


def test_bleu_4_by_hand() -> None:
    # one reference, one word of six replaced: 5/6 unigrams, 3/5 bigrams, 2/4 trigrams, 1/3 four-grams
    scores = score_captions(["a b c d x f"], [["a b c d e f"]])
    expected = math.exp(sum(math.log(p) for p in (5 / 6, 3 / 5, 2 / 4, 1 / 3)) / 4)
    assert scores.bleu_4 == pytest.approx(expected, abs=1e-6)


def test_exact_match_is_to_the_letter_and_the_others_are_not() -> None:
    scores = score_captions(["A Red Disc on a table!"], [["a red disc on a table"]])
    assert scores.exact_match == 0.0
    assert scores.bleu_4 == pytest.approx(1.0, abs=1e-6)


def test_any_reference_counts() -> None:
    assert score_captions(["one blue square"], [REFERENCES[1]]).exact_match == 1.0


@pytest.mark.parametrize(("captions", "references"), [([], []), (["x"], [])])
def test_nothing_to_score(captions: list[str], references: list[list[str]]) -> None:
    with pytest.raises(DataError, match=f"{len(captions)} captions cannot be scored"):
        score_captions(captions, references)
