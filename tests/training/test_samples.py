"""What a run trains on, checked before a model is built: broken pictures, leaks, shards, empty words."""

from __future__ import annotations

import io
import json
import logging
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cnnrnn.core.errors import DataError
from cnnrnn.data.readers import Source
from cnnrnn.training import TrainConfig, load_model, train
from cnnrnn.training.samples import read_samples
from cnnrnn.training.trainer import Trainer


def with_data(config: TrainConfig, **options: Any) -> TrainConfig:
    return replace(config, data=replace(config.data, **options))


@pytest.fixture
def copy(shapes: Path, tmp_path: Path) -> Path:
    """The shapes in a folder that may be changed."""
    return Path(shutil.copytree(shapes, tmp_path / "copy"))


def test_more_broken_pictures_than_allowed_stop_a_run_before_it_starts(
    config: TrainConfig, copy: Path
) -> None:
    (copy / "red-disc.png").write_bytes(b"<html>404</html>")
    config = with_data(config, train=(str(copy),))
    with pytest.raises(DataError, match="1 of 8 pictures are broken"):
        Trainer(config)
    assert not Path(config.output).exists()
    training, _ = read_samples(with_data(config, skip_share=0.125))
    assert len(training) == 7


def test_a_picture_in_train_and_validation_or_test_is_refused(config: TrainConfig, copy: Path) -> None:
    config = with_data(config, allow_leaks=False)
    with pytest.raises(DataError, match="8 of 8 pictures of train are in validation too"):
        read_samples(config)
    for path in copy.glob("*disc*.png"):
        path.unlink()
    (copy / "red-square.png").rename(copy / "renamed.png")
    (copy / "captions.json").write_text(json.dumps({"renamed.png": "a red square"}))
    with pytest.raises(DataError, match=r"1 of 8 pictures of train are in test too:\n  .*red-square\.png is"):
        read_samples(with_data(config, validation=(), test=(str(copy),)))


def test_pictures_that_are_the_same_are_held_out_together(
    config: TrainConfig, shapes: Path, copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = with_data(config, train=(str(shapes), str(copy)), validation=(), validation_share=0.25)
    with caplog.at_level(logging.INFO, "cnnrnn"):
        training, validation = read_samples(config)
    assert len(training) + len(validation) == 16
    assert len(validation) > 4
    assert not {sample.captions for sample in training} & {sample.captions for sample in validation}
    assert "more pictures are held out: they are the same" in caplog.text


def test_shards_are_trained_on(config: TrainConfig, shapes: Path, tmp_path: Path) -> None:
    captions = json.loads((shapes / "captions.json").read_text())
    with tarfile.open(tmp_path / "shapes-000.tar", "w") as tar:
        for name, (text,) in captions.items():
            tar.add(shapes / name, name)
            header = tarfile.TarInfo(name.replace(".png", ".txt"))
            header.size = len(text)
            tar.addfile(header, io.BytesIO(text.encode()))
    source = Source(str(tmp_path / "shapes-*.tar"))
    from_shards = train(with_data(config, train=(source,), validation=(source,)))
    files = with_data(replace(config, output=str(tmp_path / "files")), cache=True)
    assert from_shards.metrics["train_loss"] == train(files).metrics["train_loss"]
    provenance = load_model(from_shards.last).provenance
    assert provenance["training"]["data"]["train"][0]["path"] == "shapes-*.tar"
    assert str(tmp_path) not in json.dumps(provenance)


def test_what_is_cut_and_what_says_nothing_is_told(
    config: TrainConfig, copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    captions = json.loads((copy / "captions.json").read_text())
    captions["red-disc.png"] = ["one two three four five six seven", "?!"]
    (copy / "captions.json").write_text(json.dumps(captions))
    with caplog.at_level(logging.INFO, "cnnrnn"):
        trainer = Trainer(with_data(config, train=(str(copy),)))
    assert len(trainer.training_set) == 8
    assert "1 of 8 captions are cut at max_length = 6" in caplog.text
    assert "1 captions are left out, they have no word: '?!'" in caplog.text
