"""Self-critical sequence training: its gradient, its baselines, and that the reward rises."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cnnrnn.training import TrainConfig
from cnnrnn.training.batches import Share
from cnnrnn.training.greedy import greedy_captions
from cnnrnn.training.self_critical import SelfCritical
from cnnrnn.training.trainer import Trainer
from tests.training.runs import with_training, without_chance


def self_critical(config: TrainConfig, **options: Any) -> tuple[Trainer, SelfCritical, Share]:
    """A run in its second stage, and a batch."""
    config = with_training(replace(config, scst=replace(config.scst, epochs=1, **options)), metric="cider")
    trainer = Trainer(config)
    trainer._begin_self_critical()
    objective = trainer.stage.objective
    assert isinstance(objective, SelfCritical)
    return trainer, objective, next(iter(trainer.stage.batches.of_epoch(0)))


@pytest.mark.parametrize("baseline", ["greedy", "mean"])
def test_the_gradient_is_that_of_the_drawn_captions(
    baseline: str, tiny: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss and its gradient against teacher forcing of the drawn words, one caption after another."""
    config = with_training(without_chance(tiny), batch_size=4)
    trainer, objective, share = self_critical(config, samples=3, baseline=baseline)
    trainer.encoder.set(learns=False)
    rewards, drawn = objective._rewards, []

    def kept(pictures: list[int], words: torch.Tensor) -> torch.Tensor:
        drawn.append((words, rewards(pictures, words)))
        return drawn[-1][1]

    monkeypatch.setattr(objective, "_rewards", kept)
    torch.manual_seed(5)
    loss, sums = objective(share)
    loss.backward()
    found = trainer.model.decoder.output.weight.grad.clone()  # type: ignore[union-attr]
    trainer.model.zero_grad()

    words, reward = drawn[0]
    assert words.shape[:2] == (4, 3)
    assert len(words.flatten(0, 1).unique(dim=0)) > 6, "captions of one picture are drawn apart"
    base = drawn[1][1].expand(4, 3) if baseline == "greedy" else (reward.sum(1, keepdim=True) - reward) / 2
    tokenizer = trainer.parts.tokenizer
    expected = torch.zeros(())
    images = trainer.evaluated.normalise(share.batch.images)
    for picture in range(4):
        for sample in range(3):
            caption = [token for token in words[picture, sample].tolist() if token != tokenizer.pad]
            inputs = torch.tensor([[tokenizer.start, *caption[:-1]]])
            logits = trainer.model(images[picture : picture + 1], inputs)[0]
            logits[:, [tokenizer.pad, tokenizer.start]] = -torch.inf
            chance = logits.log_softmax(-1)[range(len(caption)), caption].sum()
            advantage = reward[picture, sample] - base[picture, sample]
            expected = expected - advantage.float() * chance
    expected.backward()
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found, trainer.model.decoder.output.weight.grad, rtol=1e-4, atol=1e-5)
    assert sums["reward"] == pytest.approx(float(reward.sum()))
    assert sums["baseline"] == pytest.approx(float(base.sum()))


def test_the_baseline_is_greedy_decoding_without_dropout(tiny: TrainConfig) -> None:
    config = replace(tiny, model=replace(tiny.model, dropout=0.9))
    trainer, objective, share = self_critical(with_training(config, encoder_learning_rate=0.0))
    trainer.encoder.set(learns=False)
    memory, state = trainer.evaluated.start(share.batch)
    words = objective._greedy(memory, state)
    assert trainer.model.decoder.training
    trainer.model.eval()
    tokenizer = trainer.parts.tokenizer
    memory = trainer.evaluated.memory(share.batch)
    expected = greedy_captions(trainer.model, memory, tokenizer, config.data.max_length)
    assert [tokenizer.decode(row) for row in words[:, 0].tolist()] == expected


def test_an_epoch_has_each_picture_once_and_rewards_it_by_all_its_captions(
    tiny: TrainConfig, shapes: Path, tmp_path: Path
) -> None:
    captions = json.loads((shapes / "captions.json").read_text())
    folder = tmp_path / "twice"
    folder.mkdir()
    for name, texts in captions.items():
        (folder / name).symlink_to(shapes / name)
        captions[name] = ["!", *texts, " ".join(reversed(texts[0].split()))]
    (folder / "captions.json").write_text(json.dumps(captions))
    trainer, objective, _ = self_critical(replace(tiny, data=replace(tiny.data, train=(str(folder),))))
    shares = list(trainer.stage.batches.of_epoch(0))
    pictures = [objective.reward.picture_of(draw) for share in shares for draw in share.draws]
    assert sorted(pictures) == list(range(8))
    end = trainer.parts.tokenizer.end
    for number, sample in enumerate(trainer.training_set.samples):
        own = [[*trainer.parts.tokenizer.encode(text), end] for text in sample.captions[1:]]
        scores = objective.reward.cider.score([number, number], own)
        assert (scores > 3).all()
        assert (objective.reward.cider.score([(number + 1) % 8] * 2, own) < scores).any()


@pytest.mark.parametrize("baseline", ["greedy", "mean"])
def test_reward_rises(baseline: str, tiny: TrainConfig) -> None:
    """After an epoch of cross-entropy, by rewards alone."""
    config = with_training(
        tiny, epochs=1, batch_size=8, metric="cider", schedule="constant", evaluate_every=99
    )
    scst = replace(config.scst, epochs=24, samples=8, baseline=baseline, learning_rate=0.01)
    result = Trainer(replace(config, scst=scst)).run()
    records = [json.loads(line) for line in (Path(tiny.output) / "metrics.jsonl").read_text().splitlines()]
    assert "train_loss" in records[0]
    rewards = [record["reward"] for record in records[1:]]
    assert len(rewards) == 24
    assert sum(rewards[-4:]) / 4 > 1.5 * sum(rewards[:4]) / 4
    assert result.epochs == 25
    assert "baseline_reward" in result.metrics
