"""The manifest round-trips, and what is wrong in one is named by its key."""

from __future__ import annotations

import json

import pytest

from cnnrnn.core.bundle import Bundle
from cnnrnn.core.errors import BundleError
from cnnrnn.core.manifest import Manifest


def test_it_round_trips(manifest):
    text = manifest.to_json()
    assert Manifest.from_json(text) == manifest
    assert Manifest.from_json(text.encode()).to_json() == text


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("task", "caption", "task is 'caption', and question is .*; vqa has one"),
        ("question", None, "task is 'vqa', and question is None; vqa has one"),
        ("question/max_length", 129, "question.max_length is 129; an integer from 1 to 128"),
        ("question/pad", 30, "question.pad is 30; an integer from 0 to 29"),
        ("question/examples", [], "question.examples is empty; one question at least"),
        ("question/examples/0", " ", r"question.examples\[0\] is ' '; a question is needed"),
        ("question/tokenizer", 3, "question.tokenizer is 3; a string"),
        ("question/most", 3, "question has an unknown key 'most'"),
    ],
)
def test_what_is_wrong_with_questions_is_named(path, value, words):
    values = json.loads(Bundle.open("vqa").manifest.to_json())
    set_at(values, path, value)
    with pytest.raises(BundleError, match=words):
        Manifest.from_json(json.dumps(values))


def test_without_questions_nothing_is_said_of_them(manifest):
    """So that who knows of none reads it."""
    assert "question" not in json.loads(manifest.to_json())


def set_at(values, path, value):
    *parents, last = path.split("/")
    for key in parents:
        values = values[int(key) if isinstance(values, list) else key]
    values[int(last) if isinstance(values, list) else last] = value


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("schema_version", 2, "schema_version is 2; this version of cnnrnn reads 1"),
        ("schema_version", True, "schema_version is True"),
        ("schema_version", "1", "schema_version is '1'"),
        ("name", "../x", "name is '../x'"),
        ("name", 3, "name is 3; a string"),
        ("task", "translate", "task is 'translate'; known are caption"),
        ("image", [], r"image is \[\]; an object"),
        ("image/height", 0, "image.height is 0; an integer from 1 to 4096"),
        ("image/height", 32.5, "image.height is 32.5"),
        ("image/mean", [0.5, 0.5], "image.mean is .*a list of 3"),
        ("image/std", [0.5, 0, 0.5], r"image.std\[1\] is 0"),
        ("image/fill", [0, 0, 256], r"image.fill\[2\] is 256; an integer from 0 to 255"),
        ("image/resize", "squeeze", "known are letterbox, stretch, crop"),
        ("image/heigth", 3, "unknown key 'heigth'; did you mean 'height'"),
        ("vocabulary/size", 1, "vocabulary.size is 1"),
        ("vocabulary/end", [], "distinct token ids"),
        ("vocabulary/end", [2, 2], "distinct token ids"),
        ("vocabulary/end", [99], r"vocabulary.end\[0\] is 99; an integer from 0 to 6"),
        ("vocabulary/start", 7, "vocabulary.start is 7"),
        ("search/beams", 6, "search.beams is 6; an integer from 1 to 5"),
        ("search/max_beams", 33, "search.max_beams is 33"),
        ("search/min_length", 9, "search.min_length is 9; an integer from 0 to 8"),
        ("search/length_penalty", "1", "search.length_penalty is '1'"),
        ("precisions", {}, "precisions is empty"),
        ("precisions/fp32", {"encoder": {}}, "fp32.encoder lacks 'file'"),
        ("precisions/fp32/step/inputs/0/dtype", "float8", "known are uint8"),
        ("precisions/fp32/step/inputs/0/shape", ["B", -1], r"shape\[1\] is -1"),
        ("precisions/fp32/step/inputs/0/shape", ["B K"], r"shape\[0\] is 'B K'"),
        ("select/beam3", 3, "select.beam3 is 3; an object"),
        ("alignment_grid", [3], "alignment_grid is .*a list of 2"),
        ("files", {"x": {"sha256": "zz", "bytes": 1}}, "64 hexadecimal digits"),
        ("parity", "good", "parity is 'good'; an object"),
    ],
)
def test_what_is_wrong_is_named(manifest, path, value, words):
    values = json.loads(manifest.to_json())
    set_at(values, path, value)
    with pytest.raises(BundleError, match=words):
        Manifest.from_json(json.dumps(values))


@pytest.mark.parametrize("key", ["schema_version", "image", "files", "parity", "alignment_grid"])
def test_what_is_missing_is_named(manifest, key):
    values = json.loads(manifest.to_json())
    del values[key]
    with pytest.raises(BundleError, match=f"lacks '{key}'"):
        Manifest.from_json(json.dumps(values))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "\xff", '{"a": 1, "a": 2}', '{"schema_version": NaN}', "[" * 100_000],
)
def test_what_is_no_json_is_refused(text):
    with pytest.raises(BundleError, match=r"^manifest\.json"):
        Manifest.from_json(text.encode("latin-1"))
