"""Vocabularies: words by id in any form, and special tokens that are told apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cnnrnn.core.errors import CheckpointError, OptionsError
from cnnrnn.core.tokenizer import END, PAD, START, UNKNOWN
from cnnrnn.export.imports.vocabulary import Vocabulary, read_json, words_by_id


def test_one_token_for_three_purposes_becomes_three() -> None:
    vocabulary = Vocabulary.of(["", "a", "cat", "UNK"], {START: 0, END: 0, PAD: 0, UNKNOWN: 3}, "words")
    assert vocabulary.words == ("<end>", "a", "cat", "<unk>", "<start>", "<pad>")
    tokenizer = vocabulary.tokenizer()
    assert (tokenizer.end, tokenizer.unknown, tokenizer.start, tokenizer.pad) == (0, 3, 4, 5)
    assert tokenizer.size == vocabulary.size == 6
    assert tokenizer.decode([4, 1, 2, 3, 0, 5]) == "a cat <unk>"
    assert tokenizer.encode("a cat sat") == [1, 2, 3]


def test_logits_stay_as_they_were_and_what_is_added_is_never_chosen() -> None:
    torch.manual_seed(0)
    vocabulary = Vocabulary.of(["", "a", "cat"], {START: 0, END: 0}, "words")
    table, layer = torch.randn(3, 5), nn.Linear(4, 3)
    embedded = vocabulary.embedding(table).weight
    assert torch.equal(embedded[:3], table)
    assert torch.equal(embedded[vocabulary.words.index(START)], table[0])
    hidden = torch.randn(7, 4) * 50
    with torch.no_grad():
        before, after = layer(hidden), vocabulary.output(layer.weight, layer.bias)(hidden)
        assert after.shape == (7, 6)
        torch.testing.assert_close(after[:, :3], before)
        probabilities = after.log_softmax(-1)
        torch.testing.assert_close(probabilities[:, :3], before.log_softmax(-1))
        assert torch.equal(probabilities[:, :3], after[:, :3].log_softmax(-1)), "none of it is lost"
    assert float(probabilities[:, 3:].max()) < -9000


def test_a_complete_vocabulary_stays_as_it_is() -> None:
    words = ["<pad>", "a", "<unk>", "<start>", "<end>"]
    vocabulary = Vocabulary.of(words, {PAD: 0, UNKNOWN: 2, START: 3, END: 4}, "words")
    assert vocabulary.words == tuple(words)
    weight = torch.randn(5, 2)
    assert torch.equal(vocabulary.embedding(weight).weight, weight)


@pytest.mark.parametrize(
    ("content", "first", "words"),
    [
        (["a", "b"], 0, ["a", "b"]),
        ({"b": 1, "a": 0}, 0, ["a", "b"]),
        ({"2": "b", "1": "a"}, 1, ["a", "b"]),
        ({"7": 0, "a": 1}, 0, ["7", "a"]),
    ],
)
def test_words_in_every_form(content: Any, first: int, words: list[str]) -> None:
    assert words_by_id(content, "words", first) == words


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"a": 0, "b": 2}, "has 2 words, whose ids have to be 0 to 1; there is no 1"),
        ({}, "has no words"),
        ("a b", "has no words"),
        (["a", 3], "word 1 is 3, which is no text"),
        ({"a": [1]}, "a word and its id are needed"),
    ],
)
def test_words_that_are_none(content: Any, words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        words_by_id(content, "words")


@pytest.mark.parametrize(
    ("words", "special", "said"),
    [
        (["a", "b", "x", "x"], {START: 0, END: 1}, "'x' is word 2 and word 3"),
        (["a", "", "b"], {START: 0, END: 2}, "word 1 is ''"),
        (["a", "b@@"], {START: 0, END: 0}, "a part of a word"),
        (["a", "b"], {START: 0, END: 2}, "<end> is token 2 of 2"),
        (["<start>", "x", "a"], {START: 1, END: 2}, "'<start>' is word 0 and word 1"),
    ],
)
def test_words_that_cannot_be_tokens(words: list[str], special: dict[str, int], said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        Vocabulary.of(words, special, "words")


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "words.json"
    with pytest.raises(OptionsError, match="give the words as JSON"):
        read_json(path, "the words")
    path.write_text("{'a': 0}")
    with pytest.raises(CheckpointError, match="is not JSON"):
        read_json(path, "the words")
    path.write_text(json.dumps({"a": 0}))
    assert read_json(path, "the words") == {"a": 0}
