"""What a run is watched by is what `cnnrnn eval` measures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cnnrnn.core.errors import ConfigError
from cnnrnn.evaluation import score_captions
from cnnrnn.training import TrainConfig, train
from cnnrnn.training.trainer import Trainer
from tests.training.runs import with_training


def test_cider_and_exact_match_are_those_of_eval(tiny: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of captions half of which are right, with words that no reference has and signs that are no words."""
    trainer = Trainer(tiny)
    validation = trainer.validation
    assert validation is not None
    samples = validation.dataset.samples
    said = {number: sample.captions[0] for number, sample in enumerate(samples)}
    said |= {1: "a Red, square!", 2: "a quite quite blue thing", 5: ""}
    monkeypatch.setattr(validation, "_say", lambda *_: said)
    found = validation(trainer.evaluated, lambda: False)
    expected = score_captions(list(said.values()), [sample.captions for sample in samples])
    assert found["validation_cider"] == pytest.approx(expected.cider, rel=1e-12)
    assert found["validation_exact_match"] == expected.exact_match == 5 / 8
    assert expected.cider > 1


def test_validation_split_is_by_picture(tiny: TrainConfig) -> None:
    trainer = Trainer(replace(tiny, data=replace(tiny.data, validation=(), validation_share=0.25)))
    assert trainer.validation is not None
    held_out = {sample.image for sample in trainer.validation.dataset.samples}
    assert len(held_out) == 2
    assert not held_out & {sample.image for sample in trainer.training_set.samples}


def test_best_is_chosen_by_the_metric(tiny: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    cider = iter([0.5, 0.75, 0.75, 0.25])

    def evaluated(*_: object) -> dict[str, float]:
        return {"validation_loss": 1.0, "validation_exact_match": 0.0, "validation_cider": next(cider)}

    monkeypatch.setattr("cnnrnn.training.validation.Validation.__call__", evaluated)
    result = train(with_training(tiny, epochs=9, metric="cider", patience=2))
    assert result.epochs == 4
    records = [json.loads(line) for line in (Path(tiny.output) / "metrics.jsonl").read_text().splitlines()]
    assert [record["validation_cider"] for record in records] == [0.5, 0.75, 0.75, 0.25]
    from cnnrnn.training.checkpoint import read_checkpoint

    assert read_checkpoint(result.best)["progress"]["epoch"] == 2


def test_the_self_critical_stage_is_not_judged_by_cross_entropy(tiny: TrainConfig) -> None:
    values = replace(tiny, scst=replace(tiny.scst, epochs=1)).to_dict()
    with pytest.raises(ConfigError, match="set metric to 'cider' or 'exact_match'"):
        TrainConfig.from_dict(values)
