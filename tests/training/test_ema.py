"""Averaged weights: their formula, that they are evaluated and exported, and that the raw ones are kept."""

from __future__ import annotations

import torch

from cnnrnn.models.captioner import Captioner
from cnnrnn.training import TrainConfig, load_model
from cnnrnn.training.checkpoint import read_checkpoint
from cnnrnn.training.ema import AveragedModel
from cnnrnn.training.trainer import Trainer
from tests.training.runs import with_training


def test_the_average_warms_up_and_decays(tiny: TrainConfig) -> None:
    model = Captioner(tiny.model, 9)
    averaged = AveragedModel(model, 0.3)
    norm = model.encoder.trunk[1]  # type: ignore[index]
    expected = model.decoder.output.bias.detach().clone()
    statistics = norm.running_mean.clone()
    for step, decay in enumerate((0.1, 2 / 11, 0.25, 0.3, 0.3)):
        with torch.no_grad():
            model.decoder.output.bias += 1 + step
            norm.running_mean += 1
            norm.num_batches_tracked += 1
        averaged.update(model, step)
        expected = decay * expected + (1 - decay) * model.decoder.output.bias.detach()
        statistics = decay * statistics + (1 - decay) * norm.running_mean
    torch.testing.assert_close(averaged.model.decoder.output.bias, expected)
    other = averaged.model.encoder.trunk[1]  # type: ignore[index]
    torch.testing.assert_close(other.running_mean, statistics)
    assert other.num_batches_tracked == norm.num_batches_tracked == 5


def test_the_average_is_evaluated_and_exported_and_the_raw_weights_are_kept(tiny: TrainConfig) -> None:
    trainer = Trainer(with_training(tiny, ema=0.9))
    result = trainer.run()
    saved = read_checkpoint(result.last)
    raw, average = saved["raw"], saved["model"]
    assert not torch.equal(raw["decoder.output.bias"], average["decoder.output.bias"])
    assert torch.equal(raw["decoder.output.bias"], trainer.model.decoder.output.bias)
    exported = load_model(result.last).model
    assert torch.equal(exported.decoder.output.bias, average["decoder.output.bias"])
    assert trainer.validation is not None
    trainer.evaluated.model.load_state_dict(average)
    again = trainer.validation(trainer.evaluated, lambda: False)
    assert again["validation_loss"] == result.metrics["validation_loss"]
    trainer.evaluated.model.load_state_dict(raw)
    assert trainer.validation(trainer.evaluated, lambda: False)["validation_loss"] != again["validation_loss"]
