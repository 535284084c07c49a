"""The example `examples/bring_your_own` runs as its head says, with three steps of training."""

from __future__ import annotations

import re
import runpy
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from cnnrnn.core.bundle import Bundle

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Runs the example into ``tmp_path / "shapes"`` as a script, in this process."""
    script = ROOT / "examples/bring_your_own/run.py"
    monkeypatch.syspath_prepend(script.parent)
    monkeypatch.chdir(tmp_path)

    def run(*options: str) -> None:
        monkeypatch.setattr("sys.argv", [str(script), "--output", str(tmp_path / "shapes"), *options])
        runpy.run_path(str(script), run_name="__main__")

    with torch.random.fork_rng():
        yield run
    for name in ("model", "shapes"):
        del sys.modules[name]


@pytest.mark.slow
@pytest.mark.parametrize("way", [[], ["--three-methods"]], ids=["wrap_rnn", "three methods"])
def test_it_trains_exports_and_runs(
    way: list[str], example: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torchvision")
    example("--steps", "3", "--side", "32", *way)
    said = capsys.readouterr().out
    assert "the model follows the protocol" in said
    assert "parity passed over 120 pictures" in said
    assert 0 <= captions_right(said) <= 120
    assert Bundle.open(tmp_path / "shapes").manifest.name == "shapes"


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
