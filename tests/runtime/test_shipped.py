"""The shipped weights: how many captions are right, and that a batch says what single pictures do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import cnnrnn
from cnnrnn.core.samples import package_data

SAMPLES = package_data("samples")
# Measured: 5 of 8, and 202 of 318 (63.5 %). The second floor leaves room for another version of ONNX Runtime.
LEAST_OF_THE_DEMO = 5
LEAST_SHARE = 0.60
COMPARED = 24


def captioned(folder: str) -> dict[Path, list[str]]:
    """The pictures of a folder of samples and their names, to the letter."""
    file = SAMPLES / folder / "captions.json"
    return {file.parent / name: names for name, names in json.loads(file.read_text(encoding="utf-8")).items()}


def right(captions: dict[Path, list[str]]) -> int:
    with cnnrnn.load("emoji") as model:
        results = model(list(captions))
    return sum(result.text in names for result, names in zip(results, captions.values(), strict=True))


def test_the_demo_names_most_of_its_pictures() -> None:
    captions = captioned("demo")
    assert len(captions) == 8
    assert right(captions) >= LEAST_OF_THE_DEMO


@pytest.mark.slow
def test_the_samples_are_named_about_as_often_as_was_measured() -> None:
    captions = captioned("emoji")
    assert len(captions) == 318
    assert right(captions) >= LEAST_SHARE * len(captions)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_batch_says_what_single_pictures_do(precision: str) -> None:
    every = sorted(captioned("emoji"))
    files = every[:: len(every) // COMPARED][:COMPARED]
    with cnnrnn.load("emoji", precision=precision) as model:
        together = model(files)
        singles = [model(file) for file in files]
    assert len({single.tokens for single in singles}) > COMPARED / 2, "the pictures should differ"
    for file, one, other in zip(files, together, singles, strict=True):
        tokens = [hypothesis.tokens for hypothesis in other.hypotheses]
        assert [hypothesis.tokens for hypothesis in one.hypotheses] == tokens, file.name
