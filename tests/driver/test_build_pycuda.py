"""How the tests get pycuda: what is pinned, and what is said where it cannot be built."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.driver import build_pycuda
from tests.driver.build_pycuda import PINS, VERSION, BuildError, build, unbuildable


def test_all_that_goes_with_it_is_pinned() -> None:
    lines = [line for line in PINS.read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == f"pycuda=={VERSION}"
    assert all("==" in line for line in lines)


def test_a_missing_compiler_is_said_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(build_pycuda, "missing", lambda: "")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert unbuildable() == "g++ is not installed, which builds it"
    with pytest.raises(BuildError, match="g\\+\\+ is not installed"):
        build(tmp_path / "pycuda")
    assert list(tmp_path.iterdir()) == []


def test_what_a_tool_says_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The compiler's own error, and not what the tools around it say of it."""
    monkeypatch.setattr(build_pycuda, "unbuildable", lambda: "")
    pip = tmp_path / "pip"
    said = ("echo 'a.cpp:1:2: fatal error: cuda.h: No such file'", "echo 'ERROR: No wheel was built' >&2")
    pip.write_text("\n".join(("#!/bin/sh", *said, "exit 1\n")))
    pip.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(pip))
    with pytest.raises(BuildError, match=r"^a\.cpp:1:2: fatal error: cuda\.h: No such file$"):
        build(tmp_path / "environment" / "pycuda")
    assert list((tmp_path / "environment").iterdir()) == []
