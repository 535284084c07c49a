"""The example of the stamps: how pictures are split, and the page that its table becomes."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest


def example(repository: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        f"stamps_{name}", repository / "examples/stamps" / f"{name}.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


def test_stamps_are_split_by_picture(repository: Path, tmp_path: Path) -> None:
    stamps = tmp_path / "stamps" / "birds"
    stamps.mkdir(parents=True)
    for number in range(10):
        assert cv2.imwrite(str(stamps / f"{number}.png"), np.full((8, 8, 3), number, np.uint8))
        (stamps / f"{number}.txt").write_text(
            f"Bird number {number}.\nde.utf8=Vogel {number}.\n", encoding="utf-8"
        )
    (stamps / "undrawn.txt").write_text("Nothing.\n", encoding="utf-8")
    example(repository, "fetch").write(tmp_path / "data", tmp_path / "stamps")
    parts = {
        part: json.loads((tmp_path / "data" / part / "captions.json").read_text(encoding="utf-8"))
        for part in ("train", "test")
    }
    assert sum(map(len, parts.values())) == 10
    assert len(parts["test"]) in (2, 3)
    assert not parts["train"].keys() & parts["test"].keys()
    assert {"birds-3.png": ["Bird number 3."]}.items() <= {**parts["train"], **parts["test"]}.items()


def test_the_page_has_every_part_and_the_floor(repository: Path) -> None:
    pytest.importorskip("torch")
    table = example(repository, "table")
    scores = {"cider": 1.5, "bleu_1": 0.5, "bleu_4": 0.25, "rouge_l": 0.5}
    row = {**scores, "cider_interval": [1.25, 1.75]}
    results = {"floor": {**row, "pictures": 186, "known": 748}, **{part.name: row for part in table.PARTS}}
    page = table.page(results)
    assert page.count("| 1.500 | 1.250 to 1.750 | 0.500 | 0.250 | 0.500 |") == len(table.PARTS) + 1
    assert all(f"| {part.name} |" in page for part in table.PARTS)
    assert "748 photographs and drawings to learn from and 186 to be judged on" in page
