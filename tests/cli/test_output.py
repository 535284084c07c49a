"""Tables and progress."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

from cnnrnn.cli.output import Progress, note_unusable, table
from cnnrnn.runtime.result import Hypothesis, Result


def test_columns_are_aligned_and_lines_have_no_tail() -> None:
    assert table([("a", "10", "x"), ("bcd", "9", "")], right=frozenset({1})) == ["a    10  x", "bcd   9"]


def test_an_unusable_picture_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    note_unusable("nope.png", "cannot read nope.png: No such file or directory")
    note_unusable("-", "no picture")
    assert capsys.readouterr().err.splitlines() == [
        "cnnrnn: cannot read nope.png: No such file or directory",
        "cnnrnn: -: no picture",
    ]


def test_elsewhere_than_on_a_terminal_progress_is_a_line_a_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(50, "pictures")
    for done in range(1, 51):
        progress.update(done)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"{done}/50 pictures" for done in range(5, 51, 5)]


def test_on_a_terminal_progress_is_a_bar_that_ends_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = Progress(4, "epochs")
    for done in range(1, 5):
        progress.update(done)
    assert terminal.getvalue().startswith("\r█")
    assert terminal.getvalue().endswith(" 4/4 epochs\n")


def test_the_gates_bar_and_its_report_count_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    from cnnrnn.cli.gate import Stages
    from cnnrnn.export.report import ParityReport, SearchParity

    searches = tuple(SearchParity(beams, 256, 256, (), ()) for beams in (1, 5))
    report = ParityReport(256, "the shipped samples", (), searches, {}, None, {})
    Stages()("parity", 512, 512)
    assert capsys.readouterr().err == "512/512 searches, parity\n"
    assert str(report).startswith("parity passed over 256 pictures (the shipped samples), 512 searches\n")


def test_an_answer_is_short_where_python_shows_it() -> None:
    looked = np.full((3, 36), 1 / 36, np.float32)
    best = Hypothesis("a cat", (4, 5, 2), ("a", "cat", "<end>"), -1.5, -0.5, True, (-0.5,) * 3, looked)
    result = Result((best, best), "cat.png", (6, 6), {"total": 9.0}, "ort-cpu", "fp32", 3)
    assert repr(best) == "Hypothesis('a cat', score=-0.5, 3 tokens)"
    assert repr(result) == "Result('a cat', score=-0.5, 2 hypotheses, image='cat.png')"
