"""Batches: what is shared out, in which order, and what happens when a process that reads them does not."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch

from cnnrnn.core.errors import ImageError, TrainingError
from cnnrnn.training import TrainConfig, train
from cnnrnn.training.batches import LoaderOptions, ShareSampler
from cnnrnn.training.checkpoint import read_checkpoint
from cnnrnn.training.processes import Processes
from cnnrnn.training.trainer import Trainer
from tests.training.runs import before_step, same, with_training


def sampler(rank: int, count: int, examples: int = 17) -> ShareSampler:
    options = LoaderOptions(batch_size=5, seed=1, workers=0, prefetch=2)
    made = ShareSampler(range(100, 100 + examples), options, Processes(rank, count, torch.device("cpu")))
    made.go_to(epoch=3, first_batch=1)
    return made


def test_processes_share_the_batches_of_one() -> None:
    whole = list(sampler(0, 1))
    assert [len(draws) for draws in whole] == [5, 5, 2]
    parts = [list(sampler(rank, 3).shares()) for rank in range(3)]
    for number, draws in enumerate(whole):
        own = [part[number][0] for part in parts if not part[number][1]]
        assert max(map(len, own)) - min(map(len, own)) <= 1
        together = [draw for share in own for draw in share]
        assert together == draws, "neighbours stay together: they may be of one picture"
    spare = [part[2] for part in parts if part[2][1]]
    assert spare == [(whole[2][:1], True)], "with two examples for three processes one has none of its own"


def test_an_epoch_has_every_example_once_and_an_order_of_its_own() -> None:
    one = sampler(0, 1)
    orders = []
    for epoch in (0, 1, 1):
        one.go_to(epoch, 0)
        orders.append([draw.example for draws in one for draw in draws])
        assert sorted(orders[-1]) == list(range(100, 117))
    assert orders[0] != orders[1] == orders[2]


def test_workers_change_nothing_and_stay(tiny: TrainConfig, tmp_path: Path) -> None:
    alone = train(tiny)
    helped = replace(
        tiny, output=str(tmp_path / "helped"), data=replace(tiny.data, workers=1, prefetch=3, cache=True)
    )
    trainer = Trainer(helped)
    seen: set[int | None] = set()
    for step in (1, 5):
        before_step(trainer, step, lambda: seen.update(child.pid for child in workers()))
    trainer.run()
    assert same(alone.last, trainer.last)
    assert len(seen) == 1, "the second epoch's worker is the first's"


def workers() -> list[BaseProcess]:
    return [child for child in multiprocessing.active_children() if child.name.startswith("Process")]


def test_a_worker_that_is_killed_ends_the_run_with_a_sentence(tiny: TrainConfig) -> None:
    config = with_training(replace(tiny, data=replace(tiny.data, workers=1)), checkpoint_minutes=0)
    trainer = Trainer(config)

    def kill() -> None:
        (worker,) = workers()
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        time.sleep(10)  # torch's error comes while this waits

    before_step(trainer, 3, kill)
    with pytest.raises(
        TrainingError, match=r"reads pictures has ended.*signal: Killed.*last\.pt is whole"
    ) as caught:
        trainer.run()
    assert "\n" not in str(caught.value)
    assert read_checkpoint(trainer.last)["progress"]["steps"] == 3
    resumed = train(config, resume=True)
    assert same(train(replace(config, output=config.output + "-whole")).last, resumed.last)


@pytest.mark.parametrize("count", [0, 1])
def test_a_picture_that_cannot_be_read_is_named_in_one_line(
    count: int, tiny: TrainConfig, shapes: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(shapes, tmp_path / "copy"))
    data = replace(tiny.data, train=(str(copy),), validation=(), workers=count, check_pictures="off")
    trainer = Trainer(replace(tiny, data=data))
    (copy / "red-disc.png").write_bytes(b"<html>404</html>")
    with pytest.raises(ImageError, match=r"red-disc\.png") as caught:
        trainer.run()
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)
