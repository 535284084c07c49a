"""A run that begins with another's weights and vocabulary, where they fit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cnnrnn.core.errors import CheckpointError, ConfigError
from cnnrnn.training import TrainConfig, load_model, train
from cnnrnn.training.trainer import Trainer
from tests.training.runs import same, weights, with_training


@pytest.fixture
def pair(tiny: TrainConfig, tmp_path: Path) -> tuple[Path, TrainConfig]:
    """A finished run's checkpoint, and a configuration that begins with it."""
    first = train(with_training(tiny, epochs=1)).last
    return first, with_training(replace(tiny, output=str(tmp_path / "second")), init_from=str(first))


def captioned(config: TrainConfig, shapes: Path, folder: Path, change: Callable[[str], str]) -> TrainConfig:
    shutil.copytree(shapes, folder)
    captions = json.loads((folder / "captions.json").read_text())
    changed = {name: [change(text) for text in texts] for name, texts in captions.items()}
    (folder / "captions.json").write_text(json.dumps(changed))
    return replace(config, data=replace(config.data, train=(str(folder),)))


def test_begins_with_the_weights_and_the_vocabulary(
    pair: tuple[Path, TrainConfig], shapes: Path, tmp_path: Path
) -> None:
    first, config = pair
    # Fewer words than before: each keeps its number.
    config = captioned(config, shapes, tmp_path / "fewer", lambda text: text.removeprefix("a "))
    model = replace(config.model, dropout=0.5, frozen_blocks=1)
    trainer = Trainer(replace(config, model=model))
    assert trainer.progress.steps == 0
    assert trainer.parts.tokenizer.to_json() == load_model(first).tokenizer.to_json()
    begun = trainer.model.state_dict()
    assert all(torch.equal(value, begun[name]) for name, value in weights(first).items())
    result = trainer.run()
    provenance = load_model(result.last).provenance
    assert provenance["training"]["training"]["init_from"] == "last.pt"


def test_a_resumed_run_does_not_need_it_any_more(pair: tuple[Path, TrainConfig]) -> None:
    first, config = pair
    result = train(config)
    first.unlink()
    assert same(train(config, resume=True).last, result.last)


def test_words_that_the_vocabulary_lacks_are_named(
    pair: tuple[Path, TrainConfig], shapes: Path, tmp_path: Path
) -> None:
    _, config = pair
    config = captioned(config, shapes, tmp_path / "other", lambda text: text.replace("disc", "plate"))
    with pytest.raises(
        ConfigError, match=r"lacks 1 words that the captions have at least 1 times: 'plate'; raise"
    ):
        train(config)
    rare = replace(config, vocabulary=replace(config.vocabulary, min_count=5))
    assert Trainer(rare).parts.tokenizer.size == 11


@pytest.mark.parametrize(
    ("section", "change", "said"),
    [
        ("model", {"hidden": 8}, r"has a model with hidden = 32, and \[model\] hidden = 8; set it to 32"),
        ("vocabulary", {"lowercase": False}, r"lowercase = True, and \[vocabulary\] lowercase = False"),
        ("training", {"init_from": "none.pt"}, "init_from = 'none.pt': no such file; give a run's best.pt"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(
    section: str, change: dict[str, Any], said: str, pair: tuple[Path, TrainConfig]
) -> None:
    _, config = pair
    config = replace(config, **{section: replace(getattr(config, section), **change)})
    config = replace(config, data=replace(config.data, train=("nowhere",)))
    with pytest.raises(ConfigError, match=said):
        train(config)
    assert not Path(config.output).exists()


def test_a_file_that_is_no_checkpoint_is_refused(pair: tuple[Path, TrainConfig]) -> None:
    first, config = pair
    first.write_bytes(b"weights")
    with pytest.raises(CheckpointError, match="is damaged, or not a checkpoint"):
        train(config)
