"""VQA's accuracy by its published rules, and scores over a set."""

from __future__ import annotations

import pytest

from cnnrnn.core.errors import DataError
from cnnrnn.evaluation import score_answers, vqa_accuracy
from cnnrnn.evaluation.answer_scores import normalised
from cnnrnn.evaluation.bootstrap import Bootstrap


@pytest.mark.parametrize(
    ("people", "accuracy"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)]
)
def test_agreement_among_ten(people: int, accuracy: float) -> None:
    """The mean over nine of ten of min(matches / 3, 1): the values that the challenge's page lists."""
    answers = ["red"] * people + ["blue"] * (10 - people)
    assert vqa_accuracy("red", answers) == pytest.approx(accuracy)


def test_of_fewer_people_any_one_will_do() -> None:
    assert vqa_accuracy("red", ["red"]) == 1.0
    assert vqa_accuracy("red", ["blue", "Red."]) == 1.0
    assert vqa_accuracy("red", ["blue"]) == 0.0


@pytest.mark.parametrize(
    ("answer", "same"),
    [
        ("The Dog", "dog"),
        ("two", "2"),
        ("none", "0"),
        ("dont know", "don't know"),
        ("yes.", "yes"),
        ("2.5", "2.5"),
        ("1,000", "1000"),
        ("black/white", "black white"),
        ("black / white", "black white"),
        ("a  cat\n", "cat"),
        ("couldntve", "couldn't've"),
        ("its", "its"),
        ("well", "well"),
        ("Were", "were"),
    ],
)
def test_one_spelling(answer: str, same: str) -> None:
    assert normalised(answer) == same


def test_scores_are_means() -> None:
    ten = ["red"] * 3 + ["blue"] * 7
    scores = score_answers(["red", "two"], [ten, ["2"]], Bootstrap(resamples=20))
    assert scores.accuracy == pytest.approx((0.9 + 1.0) / 2)
    assert scores.exact_match == 0.5
    assert scores.to_dict()["questions"] == 2
    assert set(scores.intervals) == {"accuracy", "exact_match"}
    with pytest.raises(DataError, match="1 answers cannot be scored"):
        score_answers(["red"], [])
