"""What tests ask of runs: other options, whether two ended alike, a stop at a chosen step."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cnnrnn.models import Encoder, ModelConfig
from cnnrnn.training import TrainConfig
from cnnrnn.training.checkpoint import read_checkpoint
from cnnrnn.training.trainer import Trainer


def make_tiny(patch: pytest.MonkeyPatch) -> None:
    """Makes every encoder one convolution, and draws no curve."""

    def build(options: ModelConfig, *, load_pretrained: bool = True) -> Encoder:
        return Encoder(nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.BatchNorm2d(8), nn.ReLU()), 8, options)

    patch.setattr("cnnrnn.models.captioner.build_encoder", build)
    patch.setattr("cnnrnn.training.record.draw_curve", lambda _: b"")


def with_training(config: TrainConfig, **changes: Any) -> TrainConfig:
    """The same with other values in ``[training]``."""
    return replace(config, training=replace(config.training, **changes))


def without_chance(config: TrainConfig, **changes: Any) -> TrainConfig:
    """No dropout, and no batch statistics: what is left depends on the pictures and the words alone."""
    model = replace(config.model, dropout=0.0)
    return with_training(replace(config, model=model), encoder_learning_rate=0.0, **changes)


def weights(path: Path, key: str = "model") -> dict[str, torch.Tensor]:
    """A checkpoint's."""
    return dict(read_checkpoint(path)[key])


def same(one: Path, other: Path, key: str = "model") -> bool:
    """Whether two checkpoints' weights are equal to the last bit."""
    first, second = weights(one, key), weights(other, key)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def close(one: Path, other: Path) -> None:
    """Asserts that two checkpoints' weights are equal up to float rounding.

    Adam divides by the root of what may be almost nothing, so that a rounding shows in full there.
    """
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-3, atol=1e-4)


def before_step(trainer: Trainer, number: int, do: Callable[[], object]) -> None:
    """Calls ``do`` when the run has done that many steps and is about to do the next."""
    step, done = trainer._step, [0]

    def counted(*arguments: Any) -> None:
        if done[0] == number:
            do()
        done[0] += 1
        step(*arguments)

    trainer._step = counted  # type: ignore[method-assign]


def ask_to_stop(trainer: Trainer, number: int) -> None:
    """Sends SIGTERM while the step after that many is under way."""
    before_step(trainer, number, lambda: signal.raise_signal(signal.SIGTERM))


def toml(config: TrainConfig) -> str:
    """The configuration as a file; JSON's strings, numbers and lists are TOML's."""
    values = config.to_dict()
    sections = {name: value for name, value in values.items() if isinstance(value, dict)}
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items() if name not in sections]
    for section, entries in sections.items():
        lines += [f"[{section}]", *(f"{name} = {json.dumps(value)}" for name, value in entries.items())]
    return "\n".join(lines)
