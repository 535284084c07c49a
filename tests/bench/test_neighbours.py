"""The kernel's counters: who else had the processors."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cnnrnn.bench.neighbours import Counters, shares


def test_the_first_line_of_proc_stat(tmp_path: Path) -> None:
    tick = 1 / os.sysconf("SC_CLK_TCK")
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 20 30 800 50 0 10 40 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n")
    found = Counters.read(stat)
    assert found is not None
    assert found.total == pytest.approx(1050 * tick)
    assert found.busy == pytest.approx(160 * tick)
    assert found.stolen == pytest.approx(40 * tick)


@pytest.mark.parametrize("text", ["", "cpu 1 2 3\n", "cpu a b c d e f g h\n", "intr 1 2 3 4 5 6 7 8\n"])
def test_other_kernels_tell_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "stat").write_text(text)
    assert Counters.read(tmp_path / "stat") is None
    assert Counters.read(tmp_path / "none") is None


def test_what_is_not_ones_own_is_others() -> None:
    before = Counters(total=100.0, busy=10.0, stolen=1.0, own=5.0)
    after = Counters(total=120.0, busy=25.0, stolen=2.0, own=15.0)
    assert shares(before, after) == (pytest.approx(0.25), pytest.approx(0.05))
    assert shares(before, before) == (None, None)
    assert shares(None, after) == (None, None)
    slower_clock = Counters(total=120.0, busy=14.0, stolen=1.0, own=15.0)
    assert shares(before, slower_clock) == (0.0, 0.0)
