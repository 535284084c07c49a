"""Several processes of one run: they train as one does, one alone writes, and one that dies ends all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from cnnrnn.models import Encoder, ModelConfig
from cnnrnn.training import TrainConfig, train
from cnnrnn.training.checkpoint import read_checkpoint
from cnnrnn.training.processes import synchronise_norms
from tests.training.ranks import run_together
from tests.training.runs import close, same, toml, without_chance


@pytest.fixture
def whole_batch(tiny: TrainConfig) -> TrainConfig:
    """Batches of three, the last of an epoch of two, accumulated by two; nothing is left to chance."""
    return without_chance(tiny, batch_size=3, accumulate=2, ema=0.9, checkpoint_minutes=0)


def test_two_train_as_one_and_go_on_when_one_ends(whole_batch: TrainConfig, tmp_path: Path) -> None:
    alone = train(whole_batch)
    two = replace(whole_batch, output=str(tmp_path / "two"))
    assert run_together(two) == [0, 0]
    close(alone.last, Path(two.output) / "last.pt")
    for one, other in zip(losses(whole_batch), losses(two), strict=True):
        assert other == pytest.approx(one, rel=1e-4)

    broken = replace(whole_batch, output=str(tmp_path / "broken"))
    last = Path(broken.output) / "last.pt"
    assert run_together(broken, signal_at=(0, signal.SIGTERM)) == [1, 1]
    said = [(tmp_path / f"broken-{rank}.txt").read_text() for rank in range(2)]
    assert said[0].startswith("TrainingStopped: a signal to another process stopped the run in epoch 1")
    assert said[1].startswith("TrainingStopped: SIGTERM stopped the run in epoch 1")
    assert read_checkpoint(last)["progress"]["steps"] == 1
    assert run_together(broken, resume=True, signal_at=(2, signal.SIGKILL)) == [1, -signal.SIGKILL]
    lost = (tmp_path / "broken-0.txt").read_text()
    assert lost.startswith("TrainingError: process 0 of 2 lost another one: ")
    assert read_checkpoint(last)["progress"]["steps"] == 3
    assert run_together(broken, resume=True) == [0, 0]
    assert same(Path(two.output) / "last.pt", last)
    assert same(Path(two.output) / "last.pt", last, "raw")


def losses(config: TrainConfig) -> list[list[float]]:
    lines = (Path(config.output) / "metrics.jsonl").read_text().splitlines()
    names = ("train_loss", "validation_loss", "validation_cider", "validation_exact_match")
    return [[json.loads(line)[name] for name in names] for line in lines]


def test_torchrun_shares_out_a_batch_that_is_smaller_than_its_processes(
    config: TrainConfig, tmp_path: Path
) -> None:
    """Batches of one leave one of the two processes without a picture of its own, in both stages."""
    small = replace(config, image=replace(config.image, height=32, width=32))
    small = without_chance(small, batch_size=1, epochs=1, metric="cider")
    staged = replace(small, scst=replace(small.scst, epochs=1, samples=2))
    (tmp_path / "run.toml").write_text(toml(staged))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, "-m", "cnnrnn", "train", "--json", str(tmp_path / "run.toml")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["epochs"] == 2
    lines = (Path(staged.output) / "metrics.jsonl").read_text().splitlines()
    first, second = map(json.loads, lines)
    alone = train(replace(small, output=str(tmp_path / "alone"))).metrics
    assert first["train_loss"] == pytest.approx(alone["train_loss"], rel=1e-4)
    assert first["validation_cider"] == pytest.approx(alone["validation_cider"])
    assert 0 <= second["reward"] < 10


def test_norms_that_learn_are_synchronised_and_no_others() -> None:
    """Torch's own runs on CUDA alone; what is replaced can be seen everywhere."""
    trunk = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.BatchNorm2d(4)))
    model = Encoder(trunk, 4, ModelConfig(feature_norm=True, frozen_blocks=2))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert synchronise_norms(model) == 2
    assert type(trunk[1]) is nn.BatchNorm2d
    assert not trunk[1].training
    assert isinstance(trunk[2][0], nn.SyncBatchNorm)
    assert isinstance(model.norm, nn.SyncBatchNorm)
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
