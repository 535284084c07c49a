"""The benchmark of threads runs and names the default."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_runs_on_a_small_bundle(colour_bundle: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.threads", str(colour_bundle), "--repetitions", "2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("colours, beam 5")
    assert "sleeping (default)" in lines[1]
    assert "x 1.00" in lines[1]
    assert any("spinning" in line for line in lines[2:])
