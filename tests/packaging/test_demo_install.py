"""``make demo`` as a newcomer runs it, in a fresh environment; ``make test-install`` runs this."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.network, pytest.mark.slow]
LIMIT_BYTES = 300_000_000


def test_make_demo_installs_little_and_captions_eight_pictures(tree: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    variables = {
        key: value
        for key, value in os.environ.items()
        if key not in ("DISPLAY", "WAYLAND_DISPLAY", "MAKEFLAGS")
    }
    command = ["make", "-C", str(tree), "demo", f"VENV={venv}"]
    first = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stdout + first.stderr
    assert (tree / "demo.html").stat().st_size > 10_000
    rows = [line for line in first.stdout.splitlines() if ".png" in line]
    assert len(rows) == 8

    installed = sum(
        path.stat().st_size for path in venv.rglob("*") if path.is_file() and not path.is_symlink()
    )
    assert installed < LIMIT_BYTES
    packages = {path.name for path in next(venv.glob("lib/python3*/site-packages")).iterdir()}
    assert not packages & {"torch", "onnx", "onnxscript", "triton", "nvidia"}

    again = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert "installing" in first.stdout
    assert "installing" not in again.stdout
