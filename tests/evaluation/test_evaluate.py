"""A bundle that names colours, judged on pictures of colours."""

import io
import json
import tarfile
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
    answer = evaluation.to_dict()
    assert {"exact_match", "bleu_4", "cider", "oracle_cider", "rouge_l", "pictures"} <= answer.keys()
    assert answer["intervals"]["cider"][0] <= answer["cider"] <= answer["intervals"]["cider"][1]
    assert answer["oracle_cider"] >= answer["cider"] > 0
    assert answer["bootstrap"] == {"resamples": 1000, "confidence": 0.95, "seed": 0}
    json.dumps(answer, allow_nan=False)


def test_a_broken_picture_counts_as_wrong(colour_bundle: Path, data: Path) -> None:
    (data / "red.png").write_bytes(b"not a picture")
    evaluation = evaluate(colour_bundle, [data])
    assert evaluation.scores.exact_match == pytest.approx(1 / 3)
    assert [path.name for path, _ in evaluation.failed] == ["red.png"]
    assert evaluation.captions[0][1] == ""


def test_missing_pictures_are_skipped_up_to_a_share(colour_bundle: Path, data: Path) -> None:
    (data / "red.png").unlink()
    with pytest.raises(DataError, match="1 of 3 pictures are missing"):
        evaluate(colour_bundle, [data])
    evaluation = evaluate(colour_bundle, [data], skip_share=0.4)
    assert (evaluation.scores.pictures, evaluation.skipped) == (2, 1)


def test_shards_are_judged_where_they_lie(colour_bundle: Path, data: Path, tmp_path: Path) -> None:
    whole = evaluate(colour_bundle, [data])
    with tarfile.open(tmp_path / "colours.tar", "w") as tar:
        for path, _, references in whole.captions:
            tar.add(str(path), Path(str(path)).name)
            header = tarfile.TarInfo(Path(str(path)).stem + ".json")
            text = json.dumps({"caption": references}).encode()
            header.size = len(text)
            tar.addfile(header, io.BytesIO(text))
        header = tarfile.TarInfo("x.png")
        header.size = 3
        tar.addfile(header, io.BytesIO(b"bad"))
        header = tarfile.TarInfo("x.txt")
        header.size = 1
        tar.addfile(header, io.BytesIO(b"x"))
    evaluation = evaluate(colour_bundle, [tmp_path / "colours.tar"])
    assert [text for _, text, _ in evaluation.captions] == [*(text for _, text, _ in whole.captions), ""]
    assert [str(picture) for picture, _ in evaluation.failed] == [f"{tmp_path / 'colours.tar'}:x.png"]


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
