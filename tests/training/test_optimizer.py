"""Learning rates over a run, and an encoder that joins in later."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from cnnrnn.training import TrainConfig
from cnnrnn.training.trainer import Trainer
from tests.training.runs import before_step, with_training


def test_schedule_reaches_its_peak_and_ends_low(tiny: TrainConfig) -> None:
    trainer = Trainer(with_training(tiny, epochs=5, accumulate=2))
    optimization, rates = trainer.stage.optimization, []
    for _ in range(5 * trainer.stage.steps):
        rates.append(optimization.optimizer.param_groups[-1]["lr"])
        optimization.optimizer.step()
        optimization.schedule.step()
    assert len(rates) == 10
    assert max(rates) == pytest.approx(5e-3, rel=3e-2)
    assert rates[-1] < rates[0] < max(rates) / 10


@pytest.mark.parametrize("frozen_blocks", [0, 1])
def test_the_encoder_learns_from_its_epoch_on(frozen_blocks: int, tiny: TrainConfig) -> None:
    config = with_training(tiny, epochs=3, encoder_from_epoch=3, weight_decay=0.5)
    config = replace(config, model=replace(config.model, frozen_blocks=frozen_blocks, feature_norm=True))
    trainer = Trainer(config)
    seen = []
    for step in (0, 8, 9):  # at the beginning, before the third epoch, and after a step of it
        before_step(
            trainer,
            step,
            lambda: seen.append(
                {name: value.clone() for name, value in trainer.model.encoder.state_dict().items()}
            ),
        )
    trainer.run()
    first, joining, joined = seen
    trunk = [name for name in first if name.startswith("trunk")]
    assert len(trunk) == 7
    assert all(torch.equal(first[name], joining[name]) for name in trunk), "statistics keep still too"
    assert not torch.equal(first["norm.weight"], joining["norm.weight"]), "what is new learns from the first"
    moved = {name for name in trunk if not torch.equal(joining[name], joined[name])}
    frozen = {name for name in trunk if name.startswith("trunk.0")} if frozen_blocks else set()
    assert moved == set(trunk) - frozen
