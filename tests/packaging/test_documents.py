"""The documents say what is there: links, options, configuration keys and their defaults, extras."""

from __future__ import annotations

import argparse
import dataclasses
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cnnrnn.cli import parser

DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs")


def documents(repository: Path) -> list[Path]:
    found = [repository / name for name in DOCUMENTS]
    return [path for entry in found for path in (sorted(entry.glob("*.md")) if entry.is_dir() else [entry])]


def test_every_relative_link_leads_somewhere(repository: Path) -> None:
    broken = []
    for path in documents(repository):
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            if not target.startswith("http") and not (path.parent / target).exists():
                broken.append(f"{path.name}: {target}")
    assert broken == []


def test_every_option_of_the_command_line_is_documented(repository: Path) -> None:
    text = (repository / "docs" / "command-line.md").read_text(encoding="utf-8")
    (commands,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    missing = []
    for name, command in commands.choices.items():
        missing += [] if f"| `{name}" in text else [name]
        for action in command._actions:
            missing += [f"{name} {option}" for option in action.option_strings[-1:] if option not in text]
    assert [name for name in missing if not name.endswith("--help")] == []


def test_every_key_of_a_training_configuration_is_documented(repository: Path) -> None:
    pytest.importorskip("torch")
    from cnnrnn.training import TrainConfig

    text = (repository / "docs" / "training.md").read_text(encoding="utf-8")
    config = TrainConfig.from_dict({"name": "x", "output": "y", "data": {"train": ["z"]}})
    missing = []
    for entry in dataclasses.fields(config):
        value = getattr(config, entry.name)
        if dataclasses.is_dataclass(value):
            section = text.partition(f"## `[{entry.name}]`")[2].partition("\n## ")[0]
            missing += [
                f"{entry.name}.{key.name}"
                for key in dataclasses.fields(value)
                if f"`{key.name}`" not in section
            ]
        elif f"`{entry.name}`" not in text.partition("\n## ")[0]:
            missing.append(entry.name)
    assert missing == []


def test_every_default_in_the_training_document_is_the_codes(repository: Path) -> None:
    """Each row ``| `a`, `b` | `1`, `2` |`` of a section is compared with the dataclasses."""
    pytest.importorskip("torch")
    import json

    from cnnrnn.training import TrainConfig

    text = (repository / "docs" / "training.md").read_text(encoding="utf-8")
    config = TrainConfig.from_dict({"name": "x", "output": "y", "data": {"train": ["z"]}})
    compared = 0
    for section in ("data", "image", "vocabulary", "augment", "model", "training", "scst", "search"):
        rows = text.partition(f"## `[{section}]`")[2].partition("\n## ")[0].splitlines()
        for row in rows:
            cells = [re.findall(r"`([^`]+)`", cell) for cell in row.split("|")[1:3]]
            if len(cells) < 2 or not all(cells):
                continue
            keys, values = cells
            for key, value in zip(keys, values * len(keys) if len(values) == 1 else values, strict=False):
                actual = getattr(getattr(config, section), key)
                assert json.loads(json.dumps(actual)) == json.loads(value), f"{section}.{key}"
                compared += 1
    assert compared > 45


def test_every_extra_is_named_in_the_readme(repository: Path) -> None:
    from cnnrnn.core import extras  # the module that names extras in its messages

    assert extras.__doc__
    text = (repository / "README.md").read_text(encoding="utf-8")
    project = (repository / "pyproject.toml").read_text(encoding="utf-8")
    section = project.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    names = re.findall(r"^([a-z0-9-]+) = \[", section, re.MULTILINE)
    assert len(names) == 15
    assert [name for name in names if f"`{name}`" not in text] == []


def test_each_requirement_within_its_range_is_pinned_for_the_makefile(repository: Path) -> None:
    """What `make demo` and `make test` install is pinned, but for the GPU's packages, which they do not."""
    project = (repository / "pyproject.toml").read_text(encoding="utf-8")
    section = project.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    wanted = set(re.findall(r'"([a-z0-9-]+)>=', section)) | {"numpy", "tokenizers"}
    pinned = set(re.findall(r"^([a-z0-9-]+)==", (repository / "constraints.txt").read_text(), re.MULTILINE))
    assert wanted - pinned == {"onnxruntime-gpu", "tensorrt", "tensorrt-rtx", "pycuda", "tomli"}


def test_the_model_card_is_made_of_the_results(repository: Path) -> None:
    from examples.emoji.notes import notes

    assert notes().strip() in (repository / "docs" / "emoji.md").read_text(encoding="utf-8"), (
        "write it anew, as `make judge-emoji` does"
    )


def test_the_search_is_used_as_its_page_shows(repository: Path, tmp_path: Path) -> None:
    page = (repository / "docs/search.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    shutil.copy(repository / "cnnrnn/samples/demo/cat-face.png", tmp_path / "cat.png")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("cat"), "the streamed words of a picture of a cat"
