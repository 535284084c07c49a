"""Studies of several views, as R2Gen's annotation.json has them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from cnnrnn.core.errors import DataError
from cnnrnn.core.manifest import ImageSpec
from cnnrnn.data.leaks import shared_pictures
from cnnrnn.data.pictures import check_pictures, read_fitted
from cnnrnn.data.readers import read_source
from cnnrnn.data.readers.sample import StudyFiles

TWO = ImageSpec(16, 32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), fill=(0, 0, 0), views=2)


def study(identity: str, *paths: str, report: str = "the heart is normal .") -> dict[str, object]:
    return {"id": identity, "report": report, "image_path": list(paths), "split": "train"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two studies to train on, the second of one view as MIMIC-CXR's are; one to test."""
    for number, name in enumerate(("a/0.png", "a/1.png", "b/0.png", "c/0.png", "c/1.png")):
        file = tmp_path / "images" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), np.full((20, 20), 50 + 10 * number, np.uint8))
    content = {
        "train": [study("a", "a/0.png", "a/1.png"), study("b", "b/0.png")],
        "val": [],
        "test": [study("c", "c/0.png", "c/1.png")],
    }
    (tmp_path / "annotation.json").write_text(json.dumps(content))
    return tmp_path


def write(folder: Path, content: object) -> None:
    (folder / "annotation.json").write_text(json.dumps(content))


def test_a_split_is_read_with_one_or_two_views(folder: Path) -> None:
    samples = read_source({"path": str(folder), "split": "train"}).usable()  # type: ignore[arg-type]
    images = folder / "images"
    assert [sample.image for sample in samples] == [
        StudyFiles((images / "a/0.png", images / "a/1.png")),
        images / "b/0.png",
    ]
    assert samples[0].captions == ("the heart is normal .",)


def test_the_file_itself_may_be_named_and_a_split_has_to_be(folder: Path) -> None:
    with pytest.raises(DataError, match="has the splits test, train; choose"):
        read_source(folder / "annotation.json")


def test_a_view_that_is_missing_is_counted(folder: Path) -> None:
    (folder / "images/a/1.png").unlink()
    reading = read_source({"path": str(folder), "split": "train"})  # type: ignore[arg-type]
    assert [fault.kind for fault in reading.faults] == ["missing"]
    assert len(reading.samples) == 1


def test_a_view_that_is_broken_is_found_wherever_it_stands(folder: Path) -> None:
    for name in ("a/0.png", "a/1.png"):
        whole = (folder / "images" / name).read_bytes()
        (folder / "images" / name).write_bytes(whole[:30])
        reading = read_source({"path": str(folder), "split": "train"})  # type: ignore[arg-type]
        checked = check_pictures(reading, "header")
        assert [fault.kind for fault in checked.faults] == ["broken"], name
        (folder / "images" / name).write_bytes(whole)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            {"train": [study("a", "a/0.png"), study("a", "b/0.png")]},
            r"train\[1\] has the id 'a', which train\[0\]",
        ),
        ({"train": [study("a", "a/0.png", "a/0.png")]}, "has 'a/0.png' twice"),
        ({"train": [study("a", "a/0.png"), {"id": "b", "image_path": ["b/0.png"]}]}, "lacks 'report'"),
        ({"train": [study("a")]}, r"image_path is \[\]; a list of file names is needed"),
        ({"train": [study("a", "a/0.png")], "test": {}}, "test is no list"),
    ],
)
def test_what_is_malformed_is_named(folder: Path, content: object, said: str) -> None:
    write(folder, content)
    with pytest.raises(DataError, match=said):
        read_source(folder)


def test_views_lie_side_by_side_and_a_missing_one_is_filled(folder: Path) -> None:
    first, second = read_source({"path": str(folder), "split": "train"}).samples  # type: ignore[arg-type]
    both = read_fitted(first.image, TWO)
    assert both.shape == (16, 32, 3)
    assert (both[:, :16] == 50).all()
    assert (both[:, 16:] == 60).all()
    alone = read_fitted(second.image, TWO)
    assert (alone[:, :16] == 70).all()
    assert (alone[:, 16:] == 0).all()


def test_two_views_where_one_is_expected_are_refused(folder: Path) -> None:
    sample = read_source({"path": str(folder), "split": "train"}).samples[0]  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"are 2 views of one study, and \[image\] views = 1; set views = 2"):
        read_fitted(sample.image, ImageSpec(16, 32, (0.5,) * 3, (0.5,) * 3))  # type: ignore[arg-type]


def test_a_study_in_two_splits_is_found(folder: Path) -> None:
    train = read_source({"path": str(folder), "split": "train"}).samples  # type: ignore[arg-type]
    for view in ("0.png", "1.png"):
        (folder / "images/c" / view).write_bytes((folder / "images/a" / view).read_bytes())
    test = read_source({"path": str(folder), "split": "test"}).samples  # type: ignore[arg-type]
    assert shared_pictures(train, test) == [(train[0].image, test[0].image)]
