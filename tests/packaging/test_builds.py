"""Other ways to the same package: from the sdist, and as an editable install."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/RECORD")}


def test_the_sdist_builds_the_same_wheel(builder: Any, sdist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    again = builder.build(unpacked, "build_wheel", tmp_path / "again")
    assert contents(again) == contents(wheel)


@pytest.mark.parametrize("module", ["cnnrnn", "cnnrnn.export", "cnnrnn.runtime.image", "cnnrnn.core.bundle"])
def test_an_editable_install_finds_the_tree(
    module: str, builder: Any, editable: Path, tree: Path, tmp_path: Path
) -> None:
    python = builder.environment(tmp_path / "environment")
    builder.unpack(editable, python)
    code = f"import importlib.util; print(importlib.util.find_spec({module!r}).origin)"
    done = subprocess.run(
        [python, "-c", code],
        cwd=tmp_path,
        env=builder.variables(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()).resolve().is_relative_to(tree.resolve())
