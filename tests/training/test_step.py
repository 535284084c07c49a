"""One step of the optimizer: what is averaged, clipped, smoothed, accumulated and refused."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cnnrnn.core.errors import TrainingError
from cnnrnn.training import TrainConfig, train
from cnnrnn.training.cross_entropy import word_loss, words_of
from cnnrnn.training.trainer import Trainer
from tests.training.runs import close, with_training, without_chance


@pytest.fixture
def uneven(tiny: TrainConfig, shapes: Path, tmp_path: Path) -> TrainConfig:
    """Captions of two to five words, so that batches have unequal numbers of them."""
    folder = tmp_path / "uneven"
    folder.mkdir()
    captions = json.loads((shapes / "captions.json").read_text())
    for number, (name, texts) in enumerate(captions.items()):
        (folder / name).symlink_to(shapes / name)
        captions[name] = [" ".join(texts[0].split()[: 1 + number % 3]) + " there" * (number % 2)]
    (folder / "captions.json").write_text(json.dumps(captions))
    return without_chance(replace(tiny, data=replace(tiny.data, train=(str(folder),))))


def test_accumulated_batches_are_a_larger_batch(uneven: TrainConfig, tmp_path: Path) -> None:
    """Three of the four batches of an epoch and then the one that is left."""
    large = train(with_training(uneven, batch_size=6))
    parts = replace(uneven, output=str(tmp_path / "parts"))
    trainer = Trainer(with_training(parts, batch_size=2, accumulate=3))
    words = [words_of(share.batch) for share in trainer.stage.batches.of_epoch(0)]
    assert len(set(words[:3])) > 1, "a mean of the batches' means would be another number"
    small = trainer.run()
    close(large.last, small.last)
    assert small.metrics["train_loss"] == pytest.approx(large.metrics["train_loss"], rel=1e-4)
    assert trainer.progress.steps == 4


def test_label_smoothing_and_clipping_are_applied(tiny: TrainConfig) -> None:
    trainer = Trainer(with_training(tiny, label_smoothing=0.2, clip_norm=1e-3))
    share = next(iter(trainer.stage.batches.of_epoch(0)))
    trainer.model.eval()
    logits = trainer.model(trainer.evaluated.normalise(share.batch.images), share.batch.inputs)
    torch.testing.assert_close(trainer.evaluated.logits(share.batch), logits)
    log_probabilities = logits.log_softmax(-1)
    kept = share.batch.targets >= 0
    hit = log_probabilities.gather(-1, share.batch.targets.clamp_min(0)[..., None])[..., 0]
    expected = -(0.8 * hit + 0.2 * log_probabilities.mean(-1))[kept].sum()
    torch.testing.assert_close(word_loss(logits, share.batch, 0.2), expected)
    trainer._step([share], trainer._module(learns=True))
    assert trainer.progress.loss_sum == pytest.approx(expected.item() / int(kept.sum()), rel=1e-5)
    norms = [p.grad.norm() ** 2 for p in trainer.model.parameters() if p.grad is not None]
    assert math.sqrt(sum(norms)) <= 1.001e-3


def spoil_weight(trainer: Trainer) -> None:
    with torch.no_grad():
        trainer.model.decoder.output.bias[0] = math.nan


def spoil_gradient(trainer: Trainer) -> None:
    trainer.model.decoder.output.bias.register_hook(lambda gradient: gradient * math.inf)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [(spoil_weight, "the loss is nan"), (spoil_gradient, "the gradient's norm is (nan|inf)")],
)
def test_what_is_no_number_stops_with_the_last_good_checkpoint(
    spoil: Callable[[Trainer], None], said: str, tiny: TrainConfig, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = Trainer(with_training(tiny, accumulate=2))
    trainer.save(trainer.last)
    good = trainer.last.read_bytes()
    pictures = trainer.stage.batches.pictures(0, 0, 2)
    assert len({Path(name) for name in pictures}) == 4
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    spoil(trainer)
    with (
        caplog.at_level(logging.ERROR, "cnnrnn"),
        pytest.raises(
            TrainingError, match=f"{said} at epoch 1, batches 1 to 2 of 4, of the pictures "
        ) as caught,
    ):
        trainer.run()
    for name in pictures:
        assert name in str(caught.value)
        assert name in caplog.text
    assert trainer.last.read_bytes() == good
    moved: dict[str, Any] = dict(trainer.model.named_parameters())
    moved.pop("decoder.output.bias")
    assert all(torch.equal(value, before[name]) for name, value in moved.items())
