"""COCO as it is downloaded: ``annotations/captions_*.json`` beside the folders of pictures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cnnrnn.cli import main

PARTS = {"train2017": ("red", "green"), "val2017": ("blue",)}


@pytest.fixture
def coco(tmp_path: Path, colour_pictures: Path) -> Path:
    """A folder with ``annotations``, ``train2017`` and ``val2017``."""
    root = tmp_path / "coco"
    (root / "annotations").mkdir(parents=True)
    for part, colours in PARTS.items():
        (root / part).mkdir()
        images, annotations = [], []
        for number, colour in enumerate(colours):
            name = f"{number:012d}.png" if part == "train2017" else f"{139 + number:012d}.png"
            shutil.copy(colour_pictures / f"{colour}.png", root / part / name)
            images.append({"id": number, "file_name": name})
            annotations.append({"id": number, "image_id": number, "caption": f"a {colour} square"})
        content = {"info": {}, "licenses": [], "images": images, "annotations": annotations}
        (root / "annotations" / f"captions_{part}.json").write_text(json.dumps(content))
    return root


def test_it_is_trained_on(coco: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for module in ("torch", "torchvision", "tqdm", "matplotlib"):
        pytest.importorskip(module)
    config = coco / "train.toml"
    text = """
        name = "coco"
        output = "run"
        [data]
        train = ["annotations/captions_train2017.json"]
        validation = ["annotations/captions_val2017.json"]
        {images}
        [image]
        height = 32
        width = 32
        [model]
        encoder = "shufflenet_v2_x0_5"
        hidden = 8
        embedding = 8
        attention = "none"
        features = "pooled"
        [training]
        epochs = 1
        """
    config.write_text(text.format(images=""))
    assert main(["train", str(config), "--json"]) == 1
    assert "2 of 2 pictures are missing" in capsys.readouterr().out
    config.write_text(text.format(images='images = ["train2017", "val2017"]'))
    assert main(["train", str(config), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["epochs"] == 1
    assert "validation_loss" in answer


def test_it_is_evaluated_on(coco: Path, colour_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pycocoevalcap")
    command = [
        "eval",
        str(colour_bundle),
        str(coco / "annotations" / "captions_val2017.json"),
        "--json",
        "--no-java",
    ]
    assert main(command) == 1
    assert "1 of 1 pictures are missing" in capsys.readouterr().out
    assert main([*command, "--images", str(coco / "val2017")]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["pictures"], answer["exact_match"]) == (1, 1.0)
    assert main([*command, "--images", str(coco / "val2014")]) == 2
    assert "val2014, and there is no such folder" in capsys.readouterr().out
