"""Tables and progress."""

from __future__ import annotations

import io
import sys

import pytest

from cnnrnn.cli.output import Progress, table


def test_columns_are_aligned_and_lines_have_no_tail() -> None:
    assert table([("a", "10", "x"), ("bcd", "9", "")], right=frozenset({1})) == ["a    10  x", "bcd   9"]


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
