"""Error rates of lines, by hand, and a bundle that reads."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cnnrnn.cli import main
from cnnrnn.core.errors import DataError
from cnnrnn.core.manifest import Manifest
from cnnrnn.evaluation import Bootstrap, evaluate_reading, score_reading

pytest.importorskip("jiwer")


def test_edits_over_all_characters_and_words() -> None:
    texts = ["kitten sat", "Straße", ""]
    references = [["sitting sat"], ["Straße"], ["ab"]]
    scores = score_reading(texts, references)
    assert scores.cer == pytest.approx((3 + 0 + 2) / (11 + 6 + 2))
    assert scores.wer == pytest.approx((1 + 0 + 1) / (2 + 1 + 1))
    assert scores.exact_match == pytest.approx(1 / 3)
    assert scores.each["edits"].tolist() == [3, 0, 2]
    assert scores.each["accuracy"] == pytest.approx([8 / 11, 1, 0])
    low, high = scores.intervals["cer"]
    assert 0 <= low < scores.cer < high <= 1


def test_normal_forms_and_spaces_are_no_edits_and_case_accents_and_marks_are() -> None:
    without = Bootstrap(resamples=0)
    assert score_reading(["cafe\u0301  au\u00a0lait "], [["café au lait"]], without).cer == 0
    assert score_reading(["Cafe au lait."], [["café au lait"]], without).each["edits"].tolist() == [3]


def test_more_than_there_was_is_more_than_one() -> None:
    assert score_reading(["abcdef"], [["x"]], Bootstrap(resamples=0)).cer == 6
    assert score_reading(["abcdef"], [["x"]]).each["accuracy"].tolist() == [0]


def test_the_nearest_reference_counts() -> None:
    assert score_reading(["colour"], [["color", "colours"]], Bootstrap(resamples=0)).cer == pytest.approx(
        1 / 5
    )


@pytest.mark.parametrize(
    ("texts", "references", "told"),
    [([], [], "0 texts"), (["a"], [["a"], ["b"]], "1 texts"), (["a"], [[" "]], "reference is empty")],
)
def test_refused(texts: list[str], references: list[list[str]], told: str) -> None:
    with pytest.raises(DataError, match=told):
        score_reading(texts, references)


@pytest.fixture
def reader(colour_bundle: Path, tmp_path: Path) -> Path:
    """The bundle of colours, which says that what it gives is the text of a line."""
    bundle = tmp_path / "reader"
    shutil.copytree(colour_bundle, bundle)
    file = bundle / "manifest.json"
    file.write_text(replace(Manifest.from_json(file.read_bytes()), task="read").to_json(), encoding="utf-8")
    return bundle


@pytest.fixture
def data(colour_pictures: Path) -> Path:
    texts = {"red.png": ["a red square"], "green.png": ["a grey square"], "blue.png": ["a blue squares"]}
    (colour_pictures / "captions.json").write_text(json.dumps(texts))
    return colour_pictures


def test_a_bundle_that_reads(reader: Path, data: Path, tmp_path: Path) -> None:
    evaluation = evaluate_reading(reader, [data])
    assert evaluation.scores.cer == pytest.approx((2 + 1) / (12 + 13 + 14))
    assert evaluation.scores.wer == pytest.approx(2 / 9)
    evaluation.write_captions(tmp_path / "read.jsonl")
    assert len((tmp_path / "read.jsonl").read_text().splitlines()) == 3


def test_a_broken_picture_is_an_empty_line(reader: Path, data: Path) -> None:
    (data / "red.png").write_bytes(b"not a picture")
    evaluation = evaluate_reading(reader, [data])
    assert evaluation.scores.cer == pytest.approx((12 + 2 + 1) / (12 + 13 + 14))
    assert [path.name for path, _ in evaluation.failed] == ["red.png"]


def test_on_the_command_line(
    reader: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card, page = tmp_path / "card.md", tmp_path / "page.html"
    arguments = ["eval", str(reader), str(data), "--json", "--card", str(card), "--html", str(page)]
    assert main(arguments) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["cer"] == pytest.approx(3 / 39)
    assert printed["intervals"].keys() == {"cer", "wer", "exact_match"}
    assert "| task | the text of a line |" in card.read_text(encoding="utf-8")
    assert "| cer | 0.0769 |" in card.read_text(encoding="utf-8")
    assert "characters right 0.846" in page.read_text(encoding="utf-8")
    assert main(["eval", str(reader), str(data)]) == 0
    assert "3 lines, beam 5" in capsys.readouterr().out
