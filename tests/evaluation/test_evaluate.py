"""A bundle that names colours, judged on pictures of colours."""

import json
from pathlib import Path

import pytest

from cnnrnn.cli import main
from cnnrnn.core.errors import DataError
from cnnrnn.evaluation import evaluate


@pytest.fixture
def data(colour_pictures: Path) -> Path:
    captions = {f"{name}.png": [f"a {name} square"] for name in ("red", "green")}
    captions["blue.png"] = ["a red square"]
    (colour_pictures / "captions.json").write_text(json.dumps(captions))
    return colour_pictures


def test_scores_and_floor(colour_bundle: Path, data: Path) -> None:
    seen = []
    evaluation = evaluate(colour_bundle, [data], batch=2, on_progress=lambda *count: seen.append(count))
    assert evaluation.bundle == "colours"
    assert evaluation.beams == 5
    assert [text for _, text, _ in evaluation.captions] == ["a red square", "a green square", "a blue square"]
    assert evaluation.scores.exact_match == pytest.approx(2 / 3)
    assert evaluation.frequent.exact_match == pytest.approx(2 / 3)  # 'a red square' is said of two
    assert seen == [(2, 3), (3, 3)]
    assert {"exact_match", "bleu_4", "cider", "pictures"} <= evaluation.to_dict().keys()


def test_a_broken_picture_counts_as_wrong(colour_bundle: Path, data: Path) -> None:
    (data / "red.png").write_bytes(b"not a picture")
    evaluation = evaluate(colour_bundle, [data])
    assert evaluation.scores.exact_match == pytest.approx(1 / 3)
    assert [path.name for path, _ in evaluation.failed] == ["red.png"]
    assert evaluation.captions[0][1] == ""


def test_captions_file(colour_bundle: Path, data: Path, tmp_path: Path) -> None:
    evaluate(colour_bundle, [data]).write_captions(tmp_path / "captions.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "captions.jsonl").read_text().splitlines()]
    assert [line["text"] for line in lines] == ["a red square", "a green square", "a blue square"]
    assert lines[0]["references"] == ["a red square"]


def test_a_captions_file_without_a_folder_is_known_before_any_work(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["eval", "no-bundle", str(data), "--captions", str(tmp_path / "none" / "captions.jsonl")]) == 1
    )
    assert f"there is no folder {tmp_path / 'none'}" in capsys.readouterr().err


def test_missing_data(colour_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        evaluate(colour_bundle, [tmp_path])
