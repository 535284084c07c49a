"""Training on the coloured shapes in two languages: what is read, drawn, learnt, and asked of the bundle."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import cnnrnn
from cnnrnn.core.errors import ConfigError, DataError
from cnnrnn.data.dataset import CaptionDataset, Collate, Draw
from cnnrnn.data.readers import read_captions
from cnnrnn.data.vocabulary import VocabularyConfig, build_tokenizer
from cnnrnn.export import export_checkpoint
from cnnrnn.training import TrainConfig, load_model, train
from cnnrnn.training.checkpoint import read_checkpoint
from cnnrnn.training.languages import in_languages, language_draws
from tests.training.conftest import COLOURS

GERMAN = {
    "red": "rot",
    "green": "grün",
    "blue": "blau",
    "black": "schwarz",
    "disc": "kreis",
    "square": "quadrat",
}


@pytest.fixture
def spoken(config: TrainConfig, shapes: Path, tmp_path: Path) -> TrainConfig:
    """Each shape in English, German, and a few in a third language that is not learnt."""
    captions: dict[str, Any] = {}
    for colour in COLOURS:
        for shape in ("disc", "square"):
            german = f"{GERMAN[shape]} in {GERMAN[colour]}"
            captions[f"{colour}-{shape}.png"] = {"en": f"a {colour} {shape}", "DE": [german], "uk": "коло"}
    source = tmp_path / "spoken.json"
    source.write_text(json.dumps(captions))
    data = replace(
        config.data,
        train=(str(source),),
        validation=(str(source),),
        images=(str(shapes),),
        languages=("en", "de"),
    )
    model = replace(config.model, encoder="squeezenet1_1", dropout=0.0)
    return replace(config, data=data, model=model)


def _dataset(config: TrainConfig) -> CaptionDataset:
    samples = read_captions(str(config.data.train[0]), config.data.images)
    kept = in_languages(samples, config.data.languages, "train")
    texts = [text for sample in kept for text in sample.captions]
    return CaptionDataset(
        kept, build_tokenizer(texts, VocabularyConfig(), config.data.languages), config.image, 6
    )


def test_the_language_is_the_token_before_the_caption(spoken: TrainConfig) -> None:
    dataset = _dataset(spoken)
    assert len(dataset) == 16
    by_text = {dataset.alternatives(number)[0]: number for number in range(len(dataset))}
    batch = Collate(1, 0)([dataset[Draw(0, by_text[text])] for text in ("a red disc", "kreis in rot")])
    assert batch.inputs[:, 0].tolist() == [4, 5]
    assert "коло" not in by_text


def test_an_epoch_draws_each_picture_once_and_every_language_in_time(spoken: TrainConfig) -> None:
    dataset = _dataset(spoken)
    draws = language_draws(dataset, 1, seed=3)
    epochs = [draws(epoch) for epoch in range(50)]
    assert all(sorted(map(dataset.sample_number, epoch)) == list(range(8)) for epoch in epochs)
    counts = Counter(dataset.language(number) for epoch in epochs for number in epoch)
    assert counts.keys() == {"en", "de"}
    assert abs(counts["en"] - 200) < 45  # 4.5 standard deviations of 400 fair draws
    assert epochs == [language_draws(dataset, 1, seed=3)(epoch) for epoch in range(50)]
    assert sorted(language_draws(dataset, 2, seed=3)(0)) == list(range(16))


@pytest.mark.slow
def test_a_bundle_writes_what_it_is_asked_for(spoken: TrainConfig, shapes: Path, tmp_path: Path) -> None:
    longer = replace(
        spoken.training, epochs=150, batch_size=4, learning_rate=5e-3, encoder_learning_rate=5e-4
    )
    result = train(replace(spoken, training=longer, data=replace(spoken.data, languages_per_epoch=1)))
    assert result.metrics["validation_exact_match"] > 0.5, result.metrics
    folder = tmp_path / "bundle"
    export_checkpoint(result.last, folder)
    with cnnrnn.load(folder) as model:
        assert model.manifest.languages is not None
        assert (model.manifest.languages.default, model.manifest.languages.tokens) == (
            "en",
            {"en": 4, "de": 5},
        )
        for colour in COLOURS:
            picture = shapes / f"{colour}-disc.png"
            english, german = model([picture] * 2, language=["en", "de-AT"])
            assert set(english.text.split()) <= {"a", *COLOURS, "disc", "square"}
            assert set(german.text.split()) <= {"in", *GERMAN.values()}


def test_an_encoder_of_another_run(spoken: TrainConfig, config: TrainConfig, tmp_path: Path) -> None:
    frozen = replace(config.training, epochs=1, batch_size=8, encoder_learning_rate=0.0)
    first = train(replace(config, model=spoken.model, training=frozen))
    second = train(
        replace(
            spoken,
            output=str(tmp_path / "second"),
            model=replace(spoken.model, hidden=24),
            training=replace(frozen, encoder_from=str(first.last)),
        )
    )
    one, other = (read_checkpoint(run.last)["model"] for run in (first, second))
    names = [name for name in one if name.startswith("encoder.") and name.endswith("weight")]
    assert any(torch.equal(one[name], other[name]) for name in names)
    assert load_model(second.last).tokenizer.languages == {"en": 4, "de": 5}
    with pytest.raises(ConfigError, match=r"encoder_from = .* has another encoder"):
        train(
            replace(
                spoken,
                output=str(tmp_path / "third"),
                model=replace(spoken.model, encoder="shufflenet_v2_x0_5"),
                training=replace(frozen, encoder_from=str(first.last)),
            )
        )


def test_languages_that_are_not_there_are_refused(spoken: TrainConfig, config: TrainConfig) -> None:
    with pytest.raises(ConfigError, match=r"captions in de, en, uk; choose with \[data\] languages"):
        train(replace(spoken, data=replace(spoken.data, languages=())))
    with pytest.raises(ConfigError, match="has no caption in fr; its languages are de, en, uk"):
        train(replace(spoken, data=replace(spoken.data, languages=("en", "fr"))))
    with pytest.raises(DataError, match="name no language"):
        train(replace(config, data=replace(config.data, languages=("en",))))
    with pytest.raises(ConfigError, match="'pt_br', which is no code of a language; write 'pt-BR'"):
        replace(config.data, languages=("pt_br",))
