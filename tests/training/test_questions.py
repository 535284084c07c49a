"""Training on questions about the coloured shapes."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cnnrnn.core.errors import ConfigError, DataError
from cnnrnn.models import Answerer
from cnnrnn.training import TrainConfig, load_model, train
from cnnrnn.training.checkpoint import read_checkpoint
from tests.training.conftest import COLOURS


@pytest.fixture
def asked(config: TrainConfig, shapes: Path, tmp_path: Path) -> TrainConfig:
    """Two questions about each shape, on a trunk without batch statistics."""
    table = tmp_path / "asked.csv"
    with table.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("image", "question", "answer"))
        for colour in COLOURS:
            for shape in ("disc", "square"):
                rows.writerow((f"{colour}-{shape}.png", "what colour is it?", colour))
                rows.writerow((f"{colour}-{shape}.png", "which shape is it?", shape))
    data = replace(config.data, train=(str(table),), validation=(str(table),), images=(str(shapes),))
    model = replace(config.model, encoder="squeezenet1_1", dropout=0.0, question="gru", fusion=32)
    return replace(config, data=data, model=model, training=replace(config.training, epochs=1, batch_size=8))


def test_a_checkpoint_knows_its_questions(asked: TrainConfig) -> None:
    result = train(asked)
    loaded = load_model(result.last)
    assert isinstance(loaded.model, Answerer)
    assert loaded.asked == ("what colour is it?", "which shape is it?")
    assert loaded.questions is not None
    assert loaded.questions.max_length == asked.data.max_question
    assert loaded.questions.tokenizer.decode(loaded.questions.encode("Which colour?")) == "which colour"
    assert loaded.tokenizer.size == 4 + 6
    assert 0 <= result.metrics["validation_exact_match"] <= 1


def test_pictures_that_are_encoded_once_give_the_same_weights(asked: TrainConfig, tmp_path: Path) -> None:
    """Up to the order of sums, with the examples in the same order."""
    shared = replace(asked, data=replace(asked.data, share_pictures=True))
    train(shared)
    unshared = replace(shared, output=str(tmp_path / "apart"))
    with pytest.MonkeyPatch.context() as patch:
        from cnnrnn.data.dataset import CaptionDataset

        patch.setattr(CaptionDataset, "__getitems__", lambda data, draws: [data[draw] for draw in draws])
        train(unshared)
    one, other = (read_checkpoint(Path(run.output) / "last.pt")["model"] for run in (shared, unshared))
    for name, weight in one.items():
        torch.testing.assert_close(weight, other[name], rtol=1e-3, atol=1e-4)


def test_questions_that_nobody_reads_are_refused(asked: TrainConfig) -> None:
    with pytest.raises(ConfigError, match=r"32 of 32 samples are questions .*set it to 'lstm' or 'gru'"):
        train(replace(asked, model=replace(asked.model, question="none")))


def test_a_model_that_is_asked_nothing_is_refused(asked: TrainConfig, config: TrainConfig) -> None:
    with pytest.raises(DataError, match=r"question = 'gru', and 16 of 16 samples have no question"):
        train(replace(asked, data=config.data))


def test_answers_are_not_rewarded_as_captions(asked: TrainConfig) -> None:
    values = asked.to_dict()
    values["scst"] = {"epochs": 1}
    values["training"]["metric"] = "cider"
    with pytest.raises(ConfigError, match="scst epochs = 1 rewards captions"):
        TrainConfig.from_dict(values)
