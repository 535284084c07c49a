"""The table of encoders and decoders: what makes a row, on small pictures, and what the page says of rows.

The documents' page is made of the numbers that are kept."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch import nn

import benchmarks.models.__main__ as command
from benchmarks.models.entries import DECODER, ENCODER, ENTRIES, REFERENCE, Entry
from benchmarks.models.lesson import teach
from benchmarks.models.measure import Row, Setup, measure
from benchmarks.models.page import PLAIN, page
from tests.captioner_grid import CaptionerGrid, tiny_captioner

ROOT = Path(__file__).resolve().parents[2]
SMALL = Setup(pixels=64, vocabulary=64, hidden=64, embedding=32, repetitions=2)
TRUNKS = {"resnet18": (4, 512), "mobilenet_v3_small": (4, 576)}


@pytest.mark.slow
@pytest.mark.usefixtures("torchlib_read_once")
@pytest.mark.parametrize("name", TRUNKS)
def test_a_trunk_of_torchvision_passes_everything(name: str) -> None:
    entry = next(entry for entry in ENTRIES if entry.name == name)
    row = measure(entry, SMALL)
    assert (row.positions, row.features) == TRUNKS[name]
    check_passed(row)


@pytest.mark.slow
@pytest.mark.usefixtures("torchlib_read_once")
def test_a_decoder_passes_everything() -> None:
    """One of those that are in no captioner of the tests' grid."""
    options = {
        "encoder": "alexnet",
        "attention": "bottom_up_top_down",
        "cell": "gru",
        "layers": 2,
        "residual": True,
        "layer_norm": True,
        "position_encoder": "lstm",
    }
    row = measure(Entry("over alexnet", DECODER, options), dataclasses.replace(SMALL, pixels=96))
    assert (row.positions, row.features, row.accuracy) == (4, SMALL.hidden, None)
    check_passed(row)


def check_passed(row: Row) -> None:
    assert row.failure == ""
    assert row.trained
    assert row.parity
    assert row.fp16
    assert row.compiled
    assert row.captions == SMALL.pictures, "captions that are all the same prove nothing"
    assert row.encoder_ms is not None
    assert row.step_ms is not None
    assert row.bundle_mb is not None
    assert 0 < row.step_ms < row.encoder_ms
    assert row.bundle_mb * 1e6 > 4 * row.parameters


def test_a_parameter_that_nothing_reaches_fails_the_lesson(captioner_grid: CaptionerGrid) -> None:
    options = {"cell": "gru", "attention": "none", "feature_norm": True, "dropout": 0.0}
    captioner = tiny_captioner(options, captioner_grid.tokenizer)
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    lesson = teach(captioner, images, captioner_grid.tokenizer)
    assert lesson.learned, lesson
    captioner.forgotten = nn.Parameter(torch.zeros(1))
    lesson = teach(captioner, images, captioner_grid.tokenizer)
    assert not lesson.learned
    assert "no finite gradient: forgotten" in str(lesson)


def made_up(name: str, kind: str = ENCODER, **found: object) -> Row:
    return Row(name, kind, 1_500_000, 49, 960, **found)  # type: ignore[arg-type]


def test_remarks_follow_the_rules() -> None:
    rows = [
        made_up(REFERENCE, encoder_ms=5.0, accuracy=75.0),
        made_up("slow", encoder_ms=51.0, accuracy=90.0),
        made_up("beaten", encoder_ms=10.1, accuracy=74.9),
        made_up("again", encoder_ms=9.9, accuracy=74.9, seeds=2),
        made_up("near", encoder_ms=9.9, accuracy=74.9),
        made_up("unknown", encoder_ms=50.0),
        made_up(PLAIN, DECODER, step_ms=1.0, encoder_ms=6.0),
        made_up("twice", DECODER, step_ms=2.0, encoder_ms=9.0),
        made_up("twice, position_encoder gru", DECODER, step_ms=2.0, encoder_ms=99.0),
        made_up("more", DECODER, step_ms=2.1, failure="it failed"),
    ]
    lines = page(rows, command.describe(Setup()), "results.json").splitlines()
    remarks = {
        cells[1].strip(" `"): cells[-2].strip()
        for cells in (line.split("|") for line in lines)
        if len(cells) > 9
    }
    assert remarks["slow"] == f"10 × `{REFERENCE}`"
    assert remarks["beaten"] == f"`{REFERENCE}` is more accurate in less than half the time"
    assert remarks["again"] == "random weights number 2"
    assert remarks["more"] == "it failed; 2.1 × the plain LSTM's step"
    assert {name for name, remark in remarks.items() if not remark} == {
        REFERENCE,
        "near",
        "unknown",
        PLAIN,
        "twice",
        "twice, position_encoder gru",
    }
    assert "took 6 to 9." in "\n".join(lines)


def test_rows_are_kept_from_run_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        command, "_alone", lambda entry, setup: made_up(entry.name, entry.kind, encoder_ms=1.0)
    )
    kept, written = tmp_path / "kept.json", tmp_path / "page.md"
    given = ["--json", str(kept), "--markdown", str(written)]
    assert command.main(["--only", "resnet50", *given], SMALL) == 0
    monkeypatch.setattr(
        command, "_alone", lambda entry, setup: made_up(entry.name, entry.kind, failure="no memory")
    )
    assert command.main(["--only", "alexnet", *given], SMALL) == 1
    assert [row.name for row in command.read(kept)[1]] == ["alexnet", "resnet50"], "in the table's order"
    assert "| `alexnet` |" in written.read_text()
    assert "no memory" in written.read_text()
    assert len(capsys.readouterr().out.splitlines()) == 2

    with pytest.raises(SystemExit):
        command.main(["--only", "alexnet", *given], Setup())
    assert "is of another embedding, hidden, pixels" in capsys.readouterr().err


def test_what_cannot_be_built_is_a_row_that_says_so() -> None:
    """In a process of its own, as every row."""
    row = command._alone(Entry("nothing", ENCODER, {"encoder": "nothing"}), SMALL)
    assert "encoder = 'nothing' is neither" in row.failure


def test_the_page_of_the_documents_is_made_of_the_kept_numbers() -> None:
    file = "benchmarks/results/models.json"
    setting, rows = command.read(ROOT / file)
    assert page(rows, setting, file) == (ROOT / "docs/models.md").read_text(encoding="utf-8"), (
        f"write it anew: python -m benchmarks.models --only --json {file} --markdown docs/models.md"
    )
    assert [row.name for row in rows] == [entry.name for entry in ENTRIES]
    assert json.loads((ROOT / file).read_text())["setting"]["pixels"] == 224
