"""Where the package onnx is absent: what is a number still works, and the error for the rest names it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cnnrnn
from cnnrnn.core.errors import MissingDependencyError
from cnnrnn.runtime.model import Model
from cnnrnn.runtime.select import make_select


@pytest.fixture
def model(colour_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Model]:
    """Loaded where onnx cannot be imported, and no graph was made before."""
    monkeypatch.setitem(sys.modules, "onnx", None)
    make_select.cache_clear()
    with cnnrnn.load(colour_bundle, threads=1) as loaded:
        yield loaded


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"beams": 1},
        {"length_penalty": 0.3, "length_penalty_type": "gnmt"},
        {"early_stopping": True, "n_best": 2},
        {"early_stopping": "never", "min_length": 0},
        {"max_length": [4], "deadline_ms": 60_000},
    ],
    ids=str,
)
def test_numbers_need_no_other_graph(model: Model, colour_pictures: Path, options: dict[str, Any]) -> None:
    (answer,) = model([colour_pictures / "red.png"], **options)
    assert answer.text == "a red square"


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"beams": 3}, "beam3"),
        ({"repetition_penalty": 1.2}, "beam5-repetition"),
        ({"no_repeat_ngram_size": 2}, "beam5-ngram2"),
        ({"suppress_tokens": [4]}, "beam5-suppress"),
        ({"bad_words_ids": [[4, 4]]}, "beam5-bans"),
        ({"coverage_penalty": 0.2}, "beam5-coverage"),
        ({"prefix": "a red"}, "beam5-prefix"),
        ({"phrases": "a red square"}, "beam5-trie"),
        ({"beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5}, "beam4-groups2"),
        ({"do_sample": True}, "beam5-sample"),
        ({"do_sample": True, "top_k": 3, "top_p": 0.9}, "beam5-sample-top3-nucleus"),
    ],
    ids=str,
)
def test_an_unusual_graph_is_refused_before_any_work(
    model: Model, options: dict[str, Any], name: str
) -> None:
    if "phrases" in options:
        options = {"phrases": model.phrases(options["phrases"])}
    with pytest.raises(MissingDependencyError, match=rf"{name} not among them.*pip install onnx") as refused:
        model("no-such-picture.png", **options)  # which would be an error of its own
    assert refused.value.name == "onnx"
