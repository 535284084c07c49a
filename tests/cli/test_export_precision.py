"""``cnnrnn export BUNDLE BUNDLE --precision``: a bundle that is there gets lower precisions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cnnrnn.cli import main
from cnnrnn.core.bundle import Bundle

pytest.importorskip("torch")
pytest.importorskip("onnxscript")


def test_a_bundle_gets_fp16_beside_fp32(
    colour_bundle: Path, colour_pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, page = tmp_path / "both", tmp_path / "doctor.html"
    command = ["export", str(colour_bundle), str(target), "--precision", "fp16", "--json"]
    assert main([*command, "--doctor-report", str(page)]) == 0
    said = json.loads(capsys.readouterr().out)
    report = said["precisions"]["fp16"]
    assert report["passed"]
    assert report["pictures"] >= 300
    assert [search["identical"] for search in report["runs"]["onnxruntime"]["searches"]] == [326, 326]
    before, after = Bundle.open(colour_bundle), Bundle.open(target)
    for graph in before.manifest.precisions["fp32"].values():
        assert after.read(graph.file) == before.read(graph.file), "fp32 stays byte for byte"
    assert after.manifest.parity["precisions"]["fp16"] == report
    assert "fp16" in page.read_text()

    assert main(["run", str(target), str(colour_pictures), "--precision", "fp16", "--json"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {answer["precision"] for answer in answers} == {"fp16"}
    assert [answer["text"] for answer in answers] == ["a blue square", "a green square", "a red square"]
    assert main(["inspect", str(target)]) == 0
    assert "fp16" in capsys.readouterr().out


def test_bf16_is_kept_for_gpus(
    colour_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "bundle"
    assert main(["export", str(colour_bundle), str(target), "--precision", "fp16,bf16"]) == 0
    assert "bf16 passed over 326 pictures" in capsys.readouterr().out
    assert list(Bundle.open(target).manifest.precisions) == ["fp32", "fp16", "bf16"]
    assert main(["run", str(target), "nothing.png", "--precision", "bf16"]) == 2
    assert "it has fp32, fp16" in capsys.readouterr().err.replace("beside it the bundle has", "it has")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "is a bundle; give --precision, or a checkpoint"),
        (["--precision", "fp8"], "precision 'fp8' is unknown; known are fp16, bf16"),
        (["--precision", "fp16,fp16"], "is given twice"),
        (["--precision", "fp16", "--weights", "fp16"], "--weights fp16 is for a checkpoint"),
        (["--precision", "fp16", "--name", "x"], "--name x is for a checkpoint"),
        (["--doctor-report", "page.html"], "is about no precision; give --precision fp16"),
        (
            ["--precision", "fp16", "--no-doctor", "--doctor-report", "page.html"],
            "contradicts --no-doctor",
        ),
    ],
)
def test_what_contradicts_is_refused_before_any_work(
    flags: list[str],
    words: str,
    colour_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = tmp_path / "bundle"
    assert main(["export", str(colour_bundle), str(target), *flags]) == 2
    assert words in capsys.readouterr().err
    assert not target.exists()


def test_too_few_pictures(
    colour_bundle: Path, colour_pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["export", str(colour_bundle), str(tmp_path / "bundle"), "--precision", "fp16"]
    assert main([*command, "--pictures", str(colour_pictures)]) == 2
    assert "has 3 pictures and the precision gate needs 300" in capsys.readouterr().err
