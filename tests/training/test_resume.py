"""A run with all that a run can have, stopped at every kind of place, goes on to the very same weights."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cnnrnn.core.errors import CheckpointError, StorageError, TrainingStopped
from cnnrnn.training import TrainConfig, train
from cnnrnn.training.checkpoint import read_checkpoint, save_checkpoint
from cnnrnn.training.trainer import Trainer
from tests.training.runs import ask_to_stop, before_step, same, with_training


@pytest.fixture
def full(tiny: TrainConfig) -> TrainConfig:
    """Two epochs of cross-entropy in two steps each, then two self-critical ones of two steps."""
    model = replace(tiny.model, feature_norm=True)
    scst = replace(
        tiny.scst, epochs=2, samples=3, learning_rate=1e-2, encoder_learning_rate=1e-3, batch_size=2
    )
    return with_training(
        replace(tiny, model=model, scst=scst),
        accumulate=2,
        ema=0.9,
        scheduled_sampling=0.5,
        encoder_from_epoch=2,
        label_smoothing=0.1,
        metric="cider",
    )


def test_goes_on_exactly_wherever_it_stopped(full: TrainConfig, tmp_path: Path) -> None:
    """In the first epoch, at the end of one, in the stage of rewards, and at its beginning."""
    whole = train(full)
    assert whole.epochs == 4
    for steps, epoch, batch in ((1, 0, 4), (2, 1, 2), (4, 2, 2), (7, 3, 4)):
        asked = replace(full, output=str(tmp_path / f"stopped-{steps}"))
        trainer = Trainer(asked)
        ask_to_stop(trainer, steps)
        with pytest.raises(TrainingStopped):
            trainer.run()
        progress = read_checkpoint(trainer.last)["progress"]
        assert (progress["epoch"], progress["batch"]) == (epoch, batch)
        resumed = train(asked, resume=True)
        assert same(whole.last, resumed.last)
        assert same(whole.last, resumed.last, "raw")
        assert same(whole.best, resumed.best)
        assert resumed.metrics == whole.metrics | {"seconds": resumed.metrics["seconds"]}


def test_patience_ends_a_stage_and_not_the_run(full: TrainConfig) -> None:
    config = with_training(
        full, epochs=9, patience=1, learning_rate=0, encoder_learning_rate=0, encoder_from_epoch=1
    )
    trainer = Trainer(replace(config, scst=replace(config.scst, learning_rate=0, encoder_learning_rate=0)))
    result = trainer.run()
    assert trainer.progress.scst_from == 2
    assert result.epochs == 3
    assert train(trainer.config, resume=True).epochs == 3


def test_a_checkpoint_of_another_versions_progress_is_refused(tiny: TrainConfig) -> None:
    last = train(with_training(tiny, epochs=1)).last
    saved = read_checkpoint(last)
    save_checkpoint({**saved, "progress": {**saved["progress"], "of_tomorrow": 1}}, last)
    with pytest.raises(CheckpointError, match=r"cannot be resumed: its progress is another version's"):
        train(with_training(tiny, epochs=1), resume=True)


@pytest.fixture
def small_files() -> Iterator[None]:
    """Nothing puts the limit back but this, whatever a test does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_takes_no_more_leaves_the_checkpoint_before(tiny: TrainConfig, small_files: None) -> None:
    """The system itself refuses to write: a file may not be larger than half a checkpoint."""
    config = with_training(tiny, checkpoint_minutes=0)
    trainer = Trainer(config)

    def fill() -> None:
        half = trainer.last.stat().st_size // 2
        resource.setrlimit(resource.RLIMIT_FSIZE, (half, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    before_step(trainer, 3, fill)
    with pytest.raises(StorageError, match=r"cannot write .*last\.pt: File too large"):
        trainer.run()
    assert read_checkpoint(trainer.last)["progress"]["steps"] == 3
    assert [path.name for path in trainer.output.glob(".*partial*")] == []
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    whole = train(replace(config, output=config.output + "-whole"))
    assert same(whole.last, train(config, resume=True).last)
