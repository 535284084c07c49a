"""The example `examples/bring_your_own` runs as its head says, with three steps of training."""

from __future__ import annotations

import os
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
    bundle = tmp_path / "shapes"
    command = [sys.executable, str(ROOT / "examples/bring_your_own/run.py"), "--output", str(bundle)]
    done = subprocess.run(
        [*command, "--steps", "3", "--side", "32", *way],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert "the model follows the protocol" in done.stdout
    assert "parity passed over 120 pictures" in done.stdout
    assert "of 120 captions are right" in done.stdout
    assert Bundle.open(bundle).manifest.name == "shapes"


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
