"""Broken pictures are found before training and skipped up to a share; pictures in two sets are found."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from cnnrnn.core.errors import DataError
from cnnrnn.data.leaks import refuse_leaks, shared_pictures
from cnnrnn.data.pictures import check_pictures, usable_samples
from cnnrnn.data.readers import Sample, read_source


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten pictures of noise with captions.json."""
    random = np.random.default_rng(0)
    for number in range(10):
        cv2.imwrite(str(tmp_path / f"{number}.png"), random.integers(0, 256, (16, 16, 3), np.uint8))
    (tmp_path / "captions.json").write_text(json.dumps({f"{n}.png": f"noise {n}" for n in range(10)}))
    return tmp_path


def test_what_each_check_finds(folder: Path) -> None:
    whole = (folder / "0.png").read_bytes()
    (folder / "0.png").write_bytes(whole[:100])
    (folder / "1.png").write_bytes(b"<html>404</html>")
    (folder / "2.png").write_bytes(b"")
    damaged = bytearray((folder / "3.png").read_bytes())
    damaged[60:400] = bytes(340)
    (folder / "3.png").write_bytes(damaged)
    reading = read_source(folder)

    def broken(how: str) -> list[str]:
        checked = check_pictures(reading, how)  # type: ignore[arg-type]
        assert len(checked.samples) + len(checked.faults) == 10
        return [Path(fault.picture).name for fault in checked.faults]

    assert broken("off") == []
    assert broken("header") == ["0.png", "1.png", "2.png"]
    assert broken("decode") == ["0.png", "1.png", "2.png", "3.png"]


def test_a_share_is_skipped_and_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "4.png").write_bytes(b"")
    (folder / "7.png").unlink()
    reading = check_pictures(read_source(folder), "header")
    with pytest.raises(DataError) as caught:
        usable_samples([reading], 0.1)
    said = str(caught.value)
    assert "1 of 10 pictures are missing, 1 of 10 pictures are broken" in said
    assert "key '7.png': '7.png' is missing in" in said
    assert "4.png is empty" in said
    assert "skip_share = 0.1 allows 1; mend them, or set skip_share = 0.2" in said
    with caplog.at_level(logging.WARNING, "cnnrnn"):
        samples = usable_samples([reading], 0.2)
    assert [sample.captions[0] for sample in samples] == [f"noise {n}" for n in (0, 1, 2, 3, 5, 6, 8, 9)]
    assert "4.png is empty" in caplog.text


def test_nothing_left_is_refused_whatever_the_share(folder: Path) -> None:
    for path in folder.glob("*.png"):
        path.unlink()
    with pytest.raises(DataError, match="10 of 10 pictures are missing"):
        usable_samples([read_source(folder)], 0.99)


def test_the_same_content_under_another_name_leaks(folder: Path, tmp_path: Path) -> None:
    samples = list(read_source(folder).samples)
    other = tmp_path / "elsewhere.jpg"
    shutil.copy(folder / "6.png", other)
    same_size = tmp_path / "same-size.png"
    same_size.write_bytes((folder / "5.png").read_bytes()[:-1] + b"x")
    judged = [Sample(other, ("noise",)), Sample(same_size, ("noise",))]
    assert shared_pictures(samples, judged) == [(folder / "6.png", other)]
    with pytest.raises(DataError) as caught:
        refuse_leaks(samples, judged, "validation")
    assert "1 of 10 pictures of train are in validation too" in str(caught.value)
    assert f"{folder / '6.png'} is {other}" in str(caught.value)
    assert "allow_leaks = true" in str(caught.value)
    refuse_leaks(samples, judged[1:], "validation")
