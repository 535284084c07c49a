"""Studies of several views in the runtime, and the sections of an answer."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cnnrnn.core.errors import BundleError, ImageError
from cnnrnn.core.manifest import ImageSpec, image_spec
from cnnrnn.runtime.picture import take
from cnnrnn.runtime.sections import split_sections
from cnnrnn.runtime.views import Study

TWO = ImageSpec(8, 16, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), fill=(1, 2, 3), views=2)
GREY = np.full((8, 8, 3), 90, np.uint8)
LIGHT = np.full((4, 4, 3), 200, np.uint8)


def taken(source: object) -> tuple[np.ndarray, int]:
    found = take(source, "bgr", TWO, lambda frame: None)  # type: ignore[arg-type]
    assert isinstance(found.pixels, np.ndarray)
    return found.pixels, found.missing_views


def test_each_view_has_its_panel() -> None:
    pixels, missing = taken(Study((GREY, LIGHT)))
    assert missing == 0
    assert (pixels[:, :8] == 90).all()
    assert (pixels[:, 8:] == 200).all()


def test_the_first_view_may_be_the_missing_one() -> None:
    pixels, missing = taken(Study((None, LIGHT)))
    assert missing == 1
    assert (pixels[:, :8] == (1, 2, 3)).all()
    assert (pixels[:, 8:] == 200).all()


def test_a_picture_alone_is_the_first_view() -> None:
    pixels, missing = taken(GREY)
    assert missing == 1
    assert (pixels[:, :8] == 90).all()
    assert (pixels[:, 8:] == (1, 2, 3)).all()


def test_too_many_views_and_none_are_refused() -> None:
    with pytest.raises(ImageError, match="has 3 views and the bundle takes 2 of each; leave the others out"):
        taken(Study((GREY, GREY, GREY)))
    with pytest.raises(ImageError, match="the study has no view"):
        Study((None, None))


def test_a_width_that_views_do_not_share_is_refused() -> None:
    values = {**dataclasses.asdict(TWO), "width": 15}
    values = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
    with pytest.raises(BundleError, match="width is 15, which 2 views side by side do not share evenly"):
        image_spec(values, "image")


def test_sections_are_cut_at_their_openings() -> None:
    openings = ("Findings:", "Impression:")
    text = "chest . Findings: no effusion . Impression: normal ."
    assert split_sections(text, openings) == {
        "": "chest .",
        "findings": "no effusion .",
        "impression": "normal .",
    }
    assert split_sections("Findings: clear .", openings) == {"findings": "clear ."}
    assert split_sections("a Findings: b Impression: c Findings: d", openings) == {
        "": "a",
        "findings": "b d",
        "impression": "c",
    }
    assert split_sections(text, ()) is None
