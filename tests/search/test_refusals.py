"""What is refused, before any work: each value beyond its limits, and every two options that contradict."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnrnn.cli.options import FLAGS
from cnnrnn.core.bundle import Bundle
from cnnrnn.core.errors import OptionsError
from cnnrnn.core.manifest import Manifest
from cnnrnn.core.phrases import Phrases
from cnnrnn.core.search import SearchOptions, options_for
from cnnrnn.core.search_limits import KEYWORDS, LIMITS, Wording

# What an option needs beside it, so that only its own value is judged.
BESIDE: dict[str, dict[str, Any]] = {
    "min_length": {"max_length": 1024},
    "n_best": {"beams": 32},
    "num_beam_groups": {"beams": 32, "diversity_penalty": 1.0},
    "diversity_penalty": {"beams": 4, "num_beam_groups": 2},
    **{name: {"do_sample": True} for name in ("temperature", "top_k", "top_p", "min_p", "seed")},
}
# A value of the limits that means "off", which another option beside it would miss.
OFF = {("num_beam_groups", 1), ("diversity_penalty", 0)}

WORDS = tuple(range(3, 9))  # of nine tokens: 0 is padding, 1 starts, 2 ends
PHRASES = Phrases([(4, 5, 4, 5), (4, 5)])

CONTRADICTIONS: list[tuple[dict[str, Any], str, str]] = [
    ({"min_length": 5, "max_length": 4}, "min_length", "max_length"),
    ({"n_best": 4, "beams": 3}, "n_best", "beams"),
    ({"early_stopping": "never", "beams": 1}, "early_stopping", "beams"),
    ({"num_beam_groups": 2, "beams": 3, "diversity_penalty": 1.0}, "num_beam_groups", "beams"),
    ({"num_beam_groups": 2, "beams": 1, "diversity_penalty": 1.0}, "num_beam_groups", "beams"),
    ({"num_beam_groups": 2, "beams": 4}, "num_beam_groups", "diversity_penalty"),
    ({"diversity_penalty": 1.0}, "diversity_penalty", "num_beam_groups"),
    ({"temperature": 0.5}, "temperature", "do_sample"),
    ({"top_k": 5}, "top_k", "do_sample"),
    ({"top_p": 0.5}, "top_p", "do_sample"),
    ({"min_p": 0.5}, "min_p", "do_sample"),
    ({"seed": 0}, "seed", "do_sample"),
    (
        {"do_sample": True, "num_beam_groups": 2, "beams": 4, "diversity_penalty": 1.0},
        "num_beam_groups",
        "do_sample",
    ),
    ({"do_sample": True, "early_stopping": True}, "early_stopping", "do_sample"),
    ({"do_sample": True, "early_stopping": "never"}, "early_stopping", "do_sample"),
    ({"prefix": [4] * 9, "max_length": 8}, "prefix", "max_length"),
    ({"prefix": [4], "suppress_tokens": [4]}, "prefix", "suppress_tokens"),
    ({"prefix": [4, 5], "bad_words_ids": [[4, 5]]}, "prefix", "bad_words_ids"),
    ({"prefix": [4, 4], "no_repeat_ngram_size": 1}, "prefix", "no_repeat_ngram_size"),
    ({"phrases": PHRASES, "max_length": 4}, "phrases", "max_length"),
    ({"phrases": PHRASES, "min_length": 5}, "phrases", "min_length"),
    ({"phrases": PHRASES, "prefix": [5]}, "phrases", "prefix"),
    ({"phrases": PHRASES, "suppress_tokens": [5]}, "phrases", "suppress_tokens"),
    ({"phrases": PHRASES, "suppress_tokens": [2]}, "phrases", "suppress_tokens"),
    ({"phrases": PHRASES, "bad_words_ids": [[4, 5]]}, "phrases", "bad_words_ids"),
    ({"phrases": PHRASES, "no_repeat_ngram_size": 2, "min_length": 3}, "phrases", "no_repeat_ngram_size"),
    ({"suppress_tokens": [0, 1, *WORDS]}, "suppress_tokens", "min_length"),
    ({"suppress_tokens": [*range(9)], "min_length": 0}, "suppress_tokens", "bad_words_ids"),
    (
        {"suppress_tokens": [0, 1, *WORDS], "prefix": [], "bad_words_ids": [[3]]},
        "bad_words_ids",
        "min_length",
    ),
    ({"no_repeat_ngram_size": 1, "min_length": 8}, "no_repeat_ngram_size", "min_length"),
    ({"max_length": [4, 5], "prefix": [[4], [5], [6]]}, "max_length", "prefix"),
]


@pytest.fixture(scope="module")
def manifest(colour_bundle: Path) -> Manifest:
    """Nine tokens, an alignment, up to 32 beams."""
    made = Bundle.open(colour_bundle).manifest
    return replace(made, search=replace(made.search, max_beams=32))


@pytest.mark.parametrize("wording", [KEYWORDS, FLAGS], ids=["keywords", "flags"])
@pytest.mark.parametrize(("options", "one", "other"), CONTRADICTIONS, ids=lambda value: str(value)[:60])
def test_what_contradicts_is_refused_with_both_names(
    options: dict[str, Any], one: str, other: str, wording: Wording, manifest: Manifest
) -> None:
    with pytest.raises(OptionsError) as refused:
        options_for(manifest, wording=wording, **options)
    message = str(refused.value)
    assert wording.name(one) in message
    assert wording.name(other) in message
    for entry in fields(SearchOptions):  # the other surface's names are not there
        if "_" in entry.name and wording is FLAGS:
            assert entry.name not in message


@pytest.mark.parametrize("name", LIMITS)
def test_each_limit_is_the_last_that_is_taken(name: str, manifest: Manifest) -> None:
    limits, beside = LIMITS[name], BESIDE.get(name, {})
    for value in (limits.low, min(limits.high, 1e9 if name == "deadline_ms" else limits.high)):
        if (name, value) not in OFF:
            found = options_for(manifest, **{**beside, name: value})  # type: ignore[arg-type]
            assert getattr(found, name) == value
    step = 1 if limits.integer else 0.001
    for value in (limits.low - step, limits.high + step):
        if math.isfinite(value):
            with pytest.raises(OptionsError) as refused:
                options_for(manifest, wording=FLAGS, **{**beside, name: value})  # type: ignore[arg-type]
            message = str(refused.value)
            assert message.startswith(FLAGS.name(name))
            assert "outside" in message or "below" in message


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("value", ["3", True, float("nan"), [1, "x"]], ids=str)
def test_what_is_no_number_is_refused_with_the_range(name: str, value: Any, manifest: Manifest) -> None:
    with pytest.raises(OptionsError, match=rf"{name}=.* is not an? .*; give ") as refused:
        options_for(manifest, **{**BESIDE.get(name, {}), name: value})  # type: ignore[arg-type]
    assert str(LIMITS[name].hint) in str(refused.value)


def test_numbers_and_arrays_of_numpy_are_taken(manifest: Manifest) -> None:
    options: dict[str, Any] = {
        "beams": np.int64(3),
        "length_penalty": np.float32(0.5),
        "suppress_tokens": np.array([3, 4]),
        "prefix": [np.array([5]), [6]],
        "bad_words_ids": [[np.int32(7)], range(3, 5)],
    }
    found = options_for(manifest, **options)
    assert (found.beams, found.length_penalty, found.suppress_tokens) == (3, 0.5, (3, 4))
    assert (found.prefix, found.bad_words_ids) == (((5,), (6,)), ((7,), (3, 4)))
    assert type(found.beams) is int


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("lenght_penalty", "did you mean length_penalty"),
        ("num_beams", "did you mean beams"),
        ("max_new_tokens", "did you mean max_length"),
        ("num_return_sequences", "did you mean n_best"),
        ("frobnicate", "there are bad_words_ids, beams,"),
    ],
)
def test_an_option_that_there_is_not(name: str, meant: str, manifest: Manifest) -> None:
    with pytest.raises(OptionsError, match=f"there is no option '{name}'; {meant}"):
        options_for(manifest, **{name: 1})  # type: ignore[arg-type]


def test_what_is_left_may_come(manifest: Manifest) -> None:
    """Just this side of the refusals above."""
    for options in (
        {"phrases": PHRASES, "no_repeat_ngram_size": 2},  # one of the two phrases
        {"phrases": PHRASES, "suppress_tokens": [3]},
        {"suppress_tokens": [0, 1, *WORDS], "min_length": 0},  # the empty answer
        {"suppress_tokens": [0, 1, *WORDS[1:]]},
        {"suppress_tokens": [*range(3), *WORDS[1:]], "prefix": [3], "max_length": 1},  # nothing else to come
        {"no_repeat_ngram_size": 1, "min_length": 7},
        {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0},  # no effect, and none asked for
    ):
        found = options_for(manifest, **options)  # type: ignore[arg-type]
        assert found.beams == manifest.search.beams
