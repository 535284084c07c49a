"""Checkpoints: what is read, what is refused, and that nothing in them is run."""

from __future__ import annotations

import errno
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cnnrnn.core.errors import CheckpointError, StorageError
from cnnrnn.data.readers import Generated
from cnnrnn.training import TrainConfig, load_model, train
from cnnrnn.training.checkpoint import _provenance, read_checkpoint, save_checkpoint
from cnnrnn.training.start import plain


@pytest.fixture(scope="module")
def trained(
    make_config: Callable[[Path], TrainConfig], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    config = make_config(tmp_path_factory.mktemp("trained") / "run")
    last = train(replace(config, training=replace(config.training, epochs=1))).last
    before = last.read_bytes()
    yield last
    assert last.read_bytes() == before, "each test has a copy"


@pytest.fixture
def checkpoint(trained: Path, tmp_path: Path) -> Path:
    """A copy, to be spoilt."""
    return Path(shutil.copy(trained, tmp_path))


def test_model_comes_back(checkpoint: Path, config: TrainConfig) -> None:
    loaded = load_model(checkpoint)
    assert loaded.name == "shapes"
    assert loaded.image == config.image
    assert loaded.alignment_grid == (2, 2)
    assert not loaded.model.training
    assert loaded.tokenizer.decode(loaded.tokenizer.encode("a red disc")) == "a red disc"


def test_provenance_names_no_folder_of_this_machine(checkpoint: Path, config: TrainConfig) -> None:
    text = repr(load_model(checkpoint).provenance)
    assert "shapes0" in text
    assert os.sep not in text


def test_provenance_of_drawn_pictures_names_no_folder_either(config: TrainConfig, tmp_path: Path) -> None:
    source = Generated(
        f"{tmp_path}/lines.py:Lines", 9, options={"data": str(tmp_path / "fonts"), "look": "clean"}
    )
    drawn = replace(config, data=replace(config.data, train=(source,)))
    (said,) = _provenance({"config": plain(drawn.to_dict())})["training"]["data"]["train"]
    options = {"data": "fonts", "look": "clean"}
    assert said == {"generator": "lines.py:Lines", "count": 9, "seed": 0, "options": options}


def test_cut_short(checkpoint: Path) -> None:
    checkpoint.write_bytes(checkpoint.read_bytes()[:-4000])
    with pytest.raises(CheckpointError, match="is damaged, or not a checkpoint"):
        load_model(checkpoint)


def test_not_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(CheckpointError, match="is damaged, or not a checkpoint"):
        load_model(tmp_path / "text.pt")
    torch.save({"weights": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="a torch file, but not a checkpoint of 'cnnrnn train'"):
        load_model(tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="cannot read the checkpoint"):
        load_model(tmp_path / "missing.pt")


def test_another_version(checkpoint: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    torch.save({**content, "version": 99}, checkpoint)
    with pytest.raises(CheckpointError, match="checkpoint version 99 and this package reads 1"):
        load_model(checkpoint)


def test_weights_that_do_not_fit_the_configuration(checkpoint: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    content["config"]["model"]["hidden"] = 8
    torch.save(content, checkpoint)
    with pytest.raises(CheckpointError, match="do not fit each other"):
        load_model(checkpoint)


class Payload:
    """Unpickles into a call."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.marker,)


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    for name, protocol in (("new.pt", None), ("old.pt", 2)):
        file = tmp_path / name
        if protocol:
            file.write_bytes(pickle.dumps(Payload(marker), protocol=protocol))
        else:
            torch.save({"format": "cnnrnn-checkpoint", "x": Payload(marker)}, file)
        with pytest.raises(CheckpointError):
            load_model(file)
    assert not marker.exists()


def test_a_full_disk_leaves_the_old_checkpoint_whole(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = checkpoint.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        save_checkpoint({"model": {}}, checkpoint)
    assert checkpoint.read_bytes() == before
    assert list(checkpoint.parent.glob(".*partial*")) == []
    assert read_checkpoint(checkpoint)["progress"]["epoch"] == 1
