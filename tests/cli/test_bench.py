"""`cnnrnn bench`: what it prints and writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cnnrnn.cli import main

QUICK = ["--repetitions", "3", "--threads", "1"]


def test_a_report_and_its_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    varied = ["--beams", "1", "--beams", "2", "--precision", "fp32", "--precision", "fp16", "--steps", "4"]
    assert main(["bench", "emoji", *QUICK, *varied, "--json", str(before)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("emoji: fp32, beam 1, 1 thread, batch 1, 4 steps; 3 answers, milliseconds\n")
    assert [line.split()[0] for line in printed.splitlines()[1:9]] == [
        "stage",
        "decode",
        "preprocess",
        "encoder",
        "step",
        "select",
        "backtrace",
        "total",
    ]
    assert "fp16, beam 1, 1 thread, batch 1, 4 steps" in printed
    settings = [entry["setting"] for entry in json.loads(before.read_text())["settings"]]
    assert [(entry["precision"], entry["beams"]) for entry in settings] == [
        ("fp32", 1),
        ("fp16", 1),
        ("fp32", 2),
    ]

    content = json.loads(before.read_text())
    for entry in content["settings"]:
        for stage in entry["stages"].values():
            stage["p50_ms"], stage["minimum_ms"] = 9 * stage["p50_ms"], 9 * stage["minimum_ms"]
    after.write_text(json.dumps(content))
    assert main(["bench", "--compare", str(before), str(before)]) == 0
    assert "slower" not in capsys.readouterr().out
    assert main(["bench", "--compare", str(before), str(after)]) == 1
    assert "slower" in capsys.readouterr().out
    assert main(["bench", "--compare", str(after), str(before)]) == 0
    assert "faster" in capsys.readouterr().out


def test_a_camera(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cnnrnn.cli.bench.CAMERA_SECONDS", 0.5)
    file, page = tmp_path / "report.json", tmp_path / "report.html"
    written = ["--json", str(file), "--html", str(page)]
    assert main(["bench", "emoji", *QUICK, "--beams", "1", "--beams", "2", "--camera", "10", *written]) == 0
    assert "camera of 10 frames/s: " in capsys.readouterr().out
    camera = json.loads(file.read_text())["camera"]
    assert 1 <= camera["answered"] + camera["dropped"] <= 5
    assert camera["age"]["minimum_ms"] > 0
    text = page.read_text(encoding="utf-8")
    for stage in ("decode", "preprocess", "encoder", "step", "select", "backtrace", "total"):
        assert f'<th scope="row">{stage}</th>' in text
    assert text.count('class="floor"') == 2, "the encoder's and the steps'"
    assert '<th scope="row">fp32, beam 2, 1 thread, batch 1</th>' in text
    assert "Of 10 frames a second" in text
    assert "multiplications and" in text
    assert str(tmp_path) not in text


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "give a BUNDLE to measure, or --compare"),
        (["emoji", "--compare", "a", "b"], "give a BUNDLE to measure, or --compare"),
        (["emoji", "--seconds", "0"], "--seconds is 0.0; give more than 0"),
        (["emoji", "--repetitions", "1"], "give 3 or more, 30 or more for a p99"),
        (["emoji", "--precision", "int8"], "int8"),
        (["emoji", "--batch", "99"], "batch=99; give 1 to 16"),
        (["emoji", "--pictures", "/nowhere"], "no such folder"),
        (["emoji", "--backend", "tensorrt", "--threads", "2"], "--threads is for ort-cpu"),
        (["emoji", "--beams", "2", "--beams", "2"], "a setting is there twice"),
    ],
)
def test_what_is_refused(given: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *given]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert not captured.out


def test_a_report_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "report.json"
    file.write_text("{}")
    assert main(["bench", "--compare", str(file), str(file)]) == 2
    assert "has the schema None" in capsys.readouterr().err
