"""The benchmark of the search runs, and its two sides take the same number of steps."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_prints_a_row_for_each_variant(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    table = tmp_path / "table.json"
    command = [sys.executable, "-m", "benchmarks.select", "--beams", "2", "--vocabulary", "1000"]
    command += ["--variants", "plain", "1,000 phrases", "--repetitions", "1", "--json", str(table)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads(table.read_text())
    assert [row["variant"] for row in rows] == ["plain", "1,000 phrases"]
    assert all(0 < row["select_ms"] <= row["ours_ms"] for row in rows)
    assert all(row["peer_ms"] > 0 and row["decoder_ms"] > 0 for row in rows)
    assert len(done.stdout.splitlines()) == 4
