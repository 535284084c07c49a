"""Ids to text and back."""

from __future__ import annotations

import json

import pytest

from cnnrnn.core.errors import BundleError
from cnnrnn.core.tokenizer import Tokenizer


def test_special_tokens_are_read_from_the_file(tokenizer):
    again = Tokenizer.from_json(tokenizer.to_json().encode())
    for one in (tokenizer, again):
        assert (one.pad, one.start, one.end, one.unknown, one.size) == (0, 1, 2, 3, 7)


def test_text_to_ids_and_back(tokenizer):
    assert tokenizer.encode("a red cat") == [4, 5, 6]
    assert tokenizer.encode("a blue cat") == [4, 3, 6]
    assert tokenizer.decode([1, 4, 5, 6, 2, 0]) == "a red cat"
    assert tokenizer.decode([4, 3, 6]) == "a <unk> cat"
    assert tokenizer.decode([]) == ""
    assert tokenizer.tokens([4, 2]) == ["a", "<end>"]


@pytest.mark.parametrize("token", [7, -1, 2**40])
def test_ids_outside_the_vocabulary(tokenizer, token):
    with pytest.raises(BundleError, match=f"token {token} is outside the vocabulary of 7"):
        tokenizer.tokens([token])


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", "no json"])
def test_what_is_no_tokenizer(data):
    with pytest.raises(BundleError, match=r"tokenizer\.json cannot be read"):
        Tokenizer.from_json(data)


def test_a_tokenizer_without_special_tokens(tokenizer):
    values = json.loads(tokenizer.to_json())
    values["added_tokens"] = []
    del values["model"]["vocab"]["<start>"]
    with pytest.raises(BundleError, match="no token '<start>'"):
        Tokenizer.from_json(json.dumps(values))
