"""CTC's loss against sums over every alignment, and a reader that learns three pictures by heart."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from cnnrnn.core.errors import ConfigError
from cnnrnn.core.manifest import CtcSpec
from cnnrnn.export.line_score import text_logprob
from cnnrnn.training.checkpoint import load_model
from cnnrnn.training.config import TrainConfig
from cnnrnn.training.ctc import best_path_texts, needed_columns
from cnnrnn.training.trainer import Trainer
from tests.search.ctc_oracle import every_text, log_softmax

CONFIG = {
    "name": "reader",
    "data": {"train": ["lines.csv"], "max_length": 6},
    "image": {"height": 32, "width": 32, "mean": [0.5] * 3, "std": [0.5] * 3, "resize": "line"},
    "vocabulary": {"kind": "character", "lowercase": False, "punctuation": "keep"},
    "model": {
        "encoder": "vgg_crnn_tiny",
        "features": "columns",
        "position_encoder": "lstm",
        "position_hidden": 16,
        "attention": "none",
        "decoder": "ctc",
        "dropout": 0.0,
    },
    "training": {
        "batch_size": 3,
        "learning_rate": 5e-3,
        "encoder_learning_rate": 5e-3,
        "encoder_from_epoch": 1,
    },
}


def test_the_forward_sums_are_those_over_every_alignment():
    logprobs = log_softmax(np.random.default_rng(0).normal(0, 1, (5, 4)))
    for text, wanted in every_text(logprobs, (1, 2, 3), 0).items():
        assert text_logprob(logprobs, text, 0) == pytest.approx(wanted, abs=1e-9)
    assert text_logprob(logprobs, (1, 1, 1, 1), 0) == -np.inf


def test_equal_characters_in_a_row_need_a_column_between_them():
    texts = ([], [5], [5, 6, 7], [5, 5], [5, 5, 5, 6])
    assert [needed_columns(torch.tensor(text)) for text in texts] == [0, 1, 3, 3, 6]


def test_scst_and_scheduled_sampling_are_refused():
    for change in ({"scst": {"epochs": 1}}, {"training": {"scheduled_sampling": 0.1}}):
        with pytest.raises(ConfigError, match="decoder = 'ctc'"):
            TrainConfig.from_dict({**CONFIG, "output": "run", **change})


@pytest.mark.parametrize(("name", "value"), [("features", "grid"), ("attention", "additive")])
def test_a_model_that_contradicts_itself_is_refused(name, value):
    with pytest.raises(ConfigError, match="decoder = 'ctc'"):
        TrainConfig.from_dict({**CONFIG, "output": "run", "model": {**CONFIG["model"], name: value}})


def lines_in(tmp_path, texts, epochs):
    """A run's description, whose pictures are noise."""
    for number in range(len(texts)):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    rows = "".join(f"{number}.png,{text}\n" for number, text in enumerate(texts))
    (tmp_path / "lines.csv").write_text("image,caption\n" + rows)
    training = {**CONFIG["training"], "epochs": epochs}
    return TrainConfig.from_dict({**CONFIG, "output": "run", "training": training}).relative_to(tmp_path)


@pytest.mark.parametrize(("texts", "share"), [(["ab", "aaaaa"], 6 / 9), (["ab", "ababa"], None)])
def test_lines_that_do_not_fit_are_counted_in_the_record(tmp_path, texts, share):
    """Seven columns: five equal characters need nine, five others five. Ends count with the characters."""
    Trainer(lines_in(tmp_path, texts, epochs=1)).run()
    (epoch,) = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert np.isfinite(epoch["train_loss"])
    assert epoch.get("infeasible") == (None if share is None else pytest.approx(share))


def test_a_reader_learns_lines_by_heart(tmp_path):
    texts = ["ab", "b a", "aab"]
    Trainer(lines_in(tmp_path, texts, epochs=300)).run()
    loaded = load_model(tmp_path / "run" / "last.pt")
    assert loaded.ctc == CtcSpec(loaded.tokenizer.pad)
    assert (loaded.search.max_length, loaded.search.min_length) == (7, 0)
    images = [np.asarray(Image.open(tmp_path / f"{number}.png")) for number in range(len(texts))]
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        assert best_path_texts(loaded.model.encode(batch), loaded.tokenizer) == texts
