"""Scheduled sampling: when it happens, how often, and what the model then reads."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cnnrnn.training import TrainConfig
from cnnrnn.training.cross_entropy import sampling_probability
from cnnrnn.training.forward import State
from cnnrnn.training.optim_config import OptimConfig
from cnnrnn.training.trainer import Trainer
from tests.training.runs import with_training, without_chance


def test_probability_grows_to_the_value_given() -> None:
    linear = OptimConfig(scheduled_sampling=0.4)
    assert [sampling_probability(linear, done) for done in (0, 0.5, 1, 2)] == pytest.approx(
        [0, 0.2, 0.4, 0.4]
    )
    sigmoid = OptimConfig(scheduled_sampling=0.4, sampling_schedule="inverse_sigmoid")
    values = [sampling_probability(sigmoid, done / 10) for done in range(11)]
    assert values == sorted(values)
    assert (values[0], values[5], values[10]) == pytest.approx((0, 0.2, 0.4))
    assert values[6] - values[5] > 2 * (values[1] - values[0]), "it is steepest half-way"
    # Bengio et al.'s own formula, over 2 k ln k steps: a third of the way, and two thirds.
    k = 100.0
    steps = 2 * k * torch.tensor(k).log()
    for done in (1 / 3, 2 / 3):
        theirs = float(1 - k / (k + (done * steps / k).exp()))
        assert sampling_probability(sigmoid, done) / 0.4 == pytest.approx(theirs, abs=0.01)


def test_words_are_the_models_own_as_often_as_said(
    tiny: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(with_training(tiny, batch_size=8))
    share = next(iter(trainer.stage.batches.of_epoch(0)))
    forward, read = trainer.evaluated, []
    step = forward.step

    def sure_of_end(tokens: Tensor, state: State, memory: State) -> tuple[Tensor, State]:
        read.append(tokens[:, 0].clone())
        logits, state = step(tokens, state, memory)
        sure = torch.zeros_like(logits)
        sure[..., trainer.parts.tokenizer.end] = 1e4
        return sure, state

    monkeypatch.setattr(forward, "step", sure_of_end)
    counts = []
    for probability in (0.0, 0.25, 1.0):
        read.clear()
        for _ in range(40):
            forward.logits(share.batch, probability)
        words = torch.stack(read, dim=1)
        given = share.batch.inputs.repeat(1, 40)
        later = torch.arange(given.shape[1]) % share.batch.inputs.shape[1] > 0
        assert torch.equal(words[:, ~later], given[:, ~later]), "the start token stays"
        counts.append((words[:, later] == trainer.parts.tokenizer.end).float().mean().item())
        assert torch.equal(
            words[words != trainer.parts.tokenizer.end], given[words != trainer.parts.tokenizer.end]
        )
    assert counts[0] == 0
    assert counts[1] == pytest.approx(0.25, abs=0.06)
    assert counts[2] == 1


def test_it_changes_training_after_the_first_step_alone(tiny: TrainConfig) -> None:
    config = without_chance(tiny, scheduled_sampling=1.0)
    trainer, other = Trainer(config), Trainer(without_chance(tiny))
    losses: list[list[float]] = []
    for one in (trainer, other):
        shares = one.stage.batches.of_epoch(0)
        module = one._module(learns=False)
        losses.append([])
        for share in shares:
            before = one.progress.loss_sum
            one._step([share], module)
            losses[-1].append(one.progress.loss_sum - before)
    assert losses[0][0] == losses[1][0]
    assert losses[0][-1] != losses[1][-1]
    assert trainer.stage.objective.own_words == pytest.approx(3 / 7)  # type: ignore[union-attr]
