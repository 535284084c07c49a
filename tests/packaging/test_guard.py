"""The folders ``export`` and ``runtime`` are imported as ``cnnrnn.export`` and ``cnnrnn.runtime`` only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("name", ["export", "runtime"])
def test_the_wrong_name_is_refused(name: str, repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}"], cwd=repository, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "ImportError" in done.stderr
    assert f"cnnrnn.{name}, not" in done.stderr


@pytest.mark.parametrize("name", ["export", "runtime"])
def test_the_symlinks_are_relative(name: str, repository: Path) -> None:
    assert (repository / "cnnrnn" / name).readlink() == Path("..") / name


def test_the_light_modules_import_nothing_heavy(repository: Path) -> None:
    code = """
import sys
import cnnrnn, cnnrnn.cli, cnnrnn.core.bundle
heavy = {"cv2", "numpy", "onnx", "onnxruntime", "tokenizers", "torch", "tensorrt", "matplotlib"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
