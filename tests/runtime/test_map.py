"""Pictures as they come: `Model.map`, and what begins the next before the last is waited for."""

from __future__ import annotations

import pytest

from cnnrnn.core.errors import ClosedError, ImageError, OptionsError
from cnnrnn.runtime.ahead import in_order


def test_answers_are_those_of_single_calls_and_come_as_pictures_do(model, pictures):
    asked = []

    def camera():
        for picture in pictures:
            asked.append(picture)
            yield picture

    answers = model.map(camera(), beams=2)
    assert asked == []
    for number, picture in enumerate(pictures, 1):
        answer = next(answers)
        assert len(asked) == number
        alone = model(picture, beams=2)
        assert (answer.tokens, answer.score) == (alone.tokens, alone.score)
    assert next(answers, None) is None


def test_a_bad_picture_is_named_in_its_place(model, pictures):
    images = [pictures[0], b"no picture", pictures[1]]
    first, bad, last = model.map(images, errors="return")
    assert (first.tokens, last.tokens) == (model(pictures[0]).tokens, model(pictures[1]).tokens)
    assert isinstance(bad, ImageError)
    assert str(bad).startswith("picture 2: ")
    answers = model.map(images)
    next(answers)
    with pytest.raises(ImageError, match="picture 2: "):
        next(answers)


def test_a_wrong_request_is_refused_before_the_first_picture(model, pictures):
    with pytest.raises(OptionsError, match="errors='skip'"):
        model.map(pictures, errors="skip")
    with pytest.raises(OptionsError, match="beams"):
        model.map(pictures, beams=0)
    model.close()
    with pytest.raises(ClosedError):
        model.map(pictures)


@pytest.mark.parametrize("ahead", [0, 1, 2])
def test_so_many_are_begun_ahead(ahead):
    done = []

    def begin(number):
        done.append(f"begin {number}")
        return number

    for number in in_order([lambda n=n: begin(n) for n in range(4)], ahead, done.append):
        done.append(f"end {number}")
    assert done.index("end 0") == 1 + ahead
    assert [entry for entry in done if entry.startswith("end")] == [f"end {number}" for number in range(4)]


def test_what_was_begun_is_dropped_where_nobody_asks_for_it_or_a_beginning_raises():
    dropped = []

    def fails():
        raise KeyError("of a picture")

    left = in_order([lambda: 1, lambda: 2, lambda: 3], 1, dropped.append)
    assert next(left) == 1
    left.close()
    assert dropped == [2]
    with pytest.raises(KeyError):
        list(in_order([lambda: 5, fails], 1, dropped.append))
    assert dropped == [2, 5]
