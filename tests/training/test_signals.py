"""A run that is asked to stop: it ends after the batch, saved, and goes on as if it had not."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cnnrnn.cli import main
from cnnrnn.core.errors import TrainingStopped
from cnnrnn.training import TrainConfig, train
from cnnrnn.training.checkpoint import read_checkpoint
from cnnrnn.training.signals import ASKING, StopSignals
from cnnrnn.training.trainer import Trainer
from tests.training.runs import ask_to_stop, before_step, same, toml


def test_the_running_batch_is_finished_and_saved(tiny: TrainConfig, tmp_path: Path) -> None:
    whole = train(tiny)
    handlers = [signal.getsignal(number) for number in ASKING]
    trainer = Trainer(replace(tiny, output=str(tmp_path / "asked")))
    ask_to_stop(trainer, 5)
    with pytest.raises(TrainingStopped, match=r"SIGTERM stopped the run in epoch 2, after batch 2 of 4; "):
        trainer.run()
    assert [signal.getsignal(number) for number in ASKING] == handlers
    saved = read_checkpoint(trainer.last)["progress"]
    assert (saved["epoch"], saved["batch"], saved["steps"]) == (1, 2, 6)
    resumed = train(trainer.config, resume=True)
    assert same(whole.last, resumed.last)
    assert resumed.metrics["train_loss"] == whole.metrics["train_loss"]


def test_processes_that_read_outlive_the_signal_that_reaches_them_too(
    tiny: TrainConfig, tmp_path: Path
) -> None:
    """As torchrun and service managers send it: to every process of the run."""
    whole = train(tiny)
    data = replace(tiny.data, workers=1)
    trainer = Trainer(replace(tiny, output=str(tmp_path / "asked"), data=data))

    def to_all() -> None:
        (worker,) = multiprocessing.active_children()
        assert worker.pid is not None
        for number in ASKING:
            os.kill(worker.pid, number)
        signal.raise_signal(signal.SIGTERM)

    before_step(trainer, 1, to_all)
    with pytest.raises(TrainingStopped, match="after batch 2 of 4"):
        trainer.run()
    assert multiprocessing.active_children() == []
    assert same(whole.last, train(trainer.config, resume=True).last)


def test_asked_while_it_is_evaluated(
    tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(tiny)
    trainer = Trainer(replace(tiny, output=str(tmp_path / "asked")))
    assert trainer.validation is not None
    say = trainer.validation._say

    def asked(*arguments: object) -> dict[int, str]:
        signal.raise_signal(signal.SIGINT)
        return say(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(trainer.validation, "_say", asked)
    with pytest.raises(TrainingStopped, match="SIGINT stopped the run in epoch 1, after batch 4 of 4"):
        trainer.run()
    assert train(trainer.config, resume=True).metrics["validation_loss"] == whole.metrics["validation_loss"]
    assert same(whole.last, trainer.last)


def test_a_second_signal_ends_it_at_once(tiny: TrainConfig) -> None:
    trainer = Trainer(tiny)

    def twice() -> None:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)

    before_step(trainer, 2, twice)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert not trainer.last.exists()


def test_the_command_ends_with_1_and_says_how_to_go_on(
    tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.toml").write_text(toml(tiny))
    step = Trainer._step

    def asked(trainer: Trainer, *arguments: Any) -> None:
        signal.raise_signal(signal.SIGTERM)
        step(trainer, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_step", asked)
        assert main(["train", str(tmp_path / "run.toml")]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "cnnrnn: SIGTERM stopped the run in epoch 1, after batch 1 of 4; " in said.err
    assert "go on with --resume" in said.err
    assert main(["train", "--resume", str(tmp_path / "run.toml")]) == 0
    assert capsys.readouterr().out.startswith("2 epochs: ")


def test_handlers_of_the_caller_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    caught: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: caught.append(number))
    try:
        with StopSignals() as signals:
            signal.raise_signal(signal.SIGTERM)
            assert (signals.asked, caught) == ("SIGTERM", [])
            signal.raise_signal(signal.SIGTERM)
            assert caught == [signal.SIGTERM]
        with StopSignals():
            pass
        signal.raise_signal(signal.SIGTERM)
        assert caught == [signal.SIGTERM] * 2
    finally:
        signal.signal(signal.SIGTERM, before)
