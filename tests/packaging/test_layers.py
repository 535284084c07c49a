"""The direction of imports, as import-linter's contracts in pyproject.toml have it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def check_contracts(folder: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_tree_keeps_every_contract(repository: Path) -> None:
    done = check_contracts(repository)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 broken" in done.stdout


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("runtime/image.py", "import torch"),
        ("runtime/image.py", "import cnnrnn.export"),
        ("runtime/image.py", "import onnx"),
        ("cnnrnn/core/bundle.py", "import cnnrnn.runtime.image"),
        ("cnnrnn/models/__init__.py", "import cnnrnn.training"),
        ("cnnrnn/cli/run.py", "import onnxruntime"),
    ],
)
def test_a_forbidden_import_is_noticed(file: str, line: str, tree: Path) -> None:
    path = tree / file
    text = path.read_text()
    path.write_text(text + f"\n{line}\n")
    try:
        done = check_contracts(tree)
    finally:
        path.write_text(text)
    assert done.returncode == 1
    assert "BROKEN" in done.stdout
