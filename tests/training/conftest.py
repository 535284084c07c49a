"""A data set of eight coloured shapes and a configuration that a CPU trains in seconds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from cnnrnn.training import TrainConfig
from tests.training.runs import make_tiny

COLOURS = {"red": (0, 0, 255), "green": (0, 255, 0), "blue": (255, 0, 0), "black": (0, 0, 0)}


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures with captions.json: 'a red disc' ... 'a black square'."""
    folder = tmp_path_factory.mktemp("shapes")
    captions = {}
    for name, colour in COLOURS.items():
        for shape in ("disc", "square"):
            picture = np.full((32, 32, 3), 255, np.uint8)
            if shape == "disc":
                cv2.circle(picture, (16, 16), 11, colour, -1)
            else:
                cv2.rectangle(picture, (6, 6), (25, 25), colour, -1)
            cv2.imwrite(str(folder / f"{name}-{shape}.png"), picture)
            captions[f"{name}-{shape}.png"] = [f"a {name} {shape}"]
    (folder / "captions.json").write_text(json.dumps(captions))
    return folder


@pytest.fixture
def config(make_config: Callable[[Path], TrainConfig], tmp_path: Path) -> TrainConfig:
    """Of a run in ``tmp_path / "run"``."""
    return make_config(tmp_path / "run")


@pytest.fixture(scope="session")
def make_config(shapes: Path) -> Callable[[Path], TrainConfig]:
    """Two epochs of four batches of two, on a trunk small enough for a test."""
    return lambda output: TrainConfig.from_dict(
        {
            "name": "shapes",
            "output": str(output),
            "seed": 3,
            "data": {
                "train": [str(shapes)],
                "validation": [str(shapes)],
                "allow_leaks": True,
                "max_length": 6,
            },
            "image": {"height": 64, "width": 64},
            "model": {
                "encoder": "shufflenet_v2_x0_5",
                "hidden": 32,
                "embedding": 16,
                "attention_size": 8,
                "dropout": 0.2,
            },
            "training": {
                "epochs": 2,
                "batch_size": 2,
                "learning_rate": 5e-3,
                "encoder_learning_rate": 5e-4,
                "threads": 1,
            },
        }
    )


@pytest.fixture
def tiny(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> TrainConfig:
    """``config`` on a trunk of one convolution, for what does not depend on the trunk; no curve is drawn."""
    make_tiny(monkeypatch)
    return replace(config, image=replace(config.image, height=32, width=32))
