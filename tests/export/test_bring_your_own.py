"""The example `examples/bring_your_own` runs as its head says, with three steps of training."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from cnnrnn.core.bundle import Bundle

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("way", [[], ["--three-methods"]], ids=["wrap_rnn", "three methods"])
def test_it_trains_exports_and_runs(way: list[str], tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    said = run(tmp_path, "--steps", "3", "--side", "32", *way)
    assert "the model follows the protocol" in said
    assert "parity passed over 120 pictures" in said
    assert 0 <= captions_right(said) <= 120
    assert Bundle.open(tmp_path / "shapes").manifest.name == "shapes"


def run(folder: Path, *options: str) -> str:
    """Runs the example into ``folder / "shapes"`` and returns what it printed."""
    script = ROOT / "examples/bring_your_own/run.py"
    done = subprocess.run(
        [sys.executable, str(script), "--output", str(folder / "shapes"), *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def captions_right(said: str) -> int:
    """How many of its 120 captions the example says are right."""
    found = re.search(r"^(\d+) of 120 captions are right", said, re.MULTILINE)
    assert found, said
    return int(found[1])


def test_the_users_model_inherits_nothing_of_ours() -> None:
    source = (ROOT / "examples/bring_your_own/model.py").read_text()
    assert "import cnnrnn" not in source
    assert "from cnnrnn" not in source


def test_the_documents_tokenizer_keeps_a_training_scripts_ids() -> None:
    text = (ROOT / "docs" / "bring-your-own.md").read_text(encoding="utf-8")
    block = next(part for part in text.split("```python\n") if "WordLevel(word_index" in part)
    word_index = {"<pad>": 0, "a": 1, "cat": 2, "<start>": 3, "<end>": 4, "<unk>": 5}
    names: dict[str, Any] = {"word_index": word_index}
    exec(textwrap.dedent(block.partition("  ```")[0]), names)
    tokenizer = names["tokenizer"]
    assert tokenizer.encode("a cat") == [1, 2]
    assert (tokenizer.pad, tokenizer.start, tokenizer.end, tokenizer.unknown) == (0, 3, 4, 5)
    assert tokenizer.decode([3, 1, 2, 4]) == "a cat"
