"""Other people's vocabularies, made to have the four tokens apart that the search needs.

Captioners often have one token for start, end and padding, or none for a word that is unknown. Then rows are
added to the embedding and to the output layer: a start token that is embedded as before, and tokens whose
logit is too low to be ever chosen. The logits of all that were there before stay as they were.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cnnrnn.core.errors import CheckpointError, OptionsError
from cnnrnn.core.extras import require
from cnnrnn.core.tokenizer import END, PAD, START, UNKNOWN, Tokenizer

# e^-10000 is 0 in float32, so that probabilities are unchanged, and fp16 holds the number itself.
NEVER = -1e4

_BY_IMPORTANCE = (END, START, PAD, UNKNOWN)
_LISTED = 5


@dataclass(frozen=True)
class Vocabulary:
    """The words of a model that is imported.

    Attributes:
        words: by id, with the four special tokens by our names.
        rows: how many of them the checkpoint has; those behind are added.
        copies: of each word that is added, the row that its embedding is a copy of; None for zeros.
        where: the file, for messages.
    """

    words: tuple[str, ...]
    rows: int
    copies: tuple[int | None, ...]
    where: str

    @staticmethod
    def of(words: Sequence[str], special: Mapping[str, int], where: str) -> Vocabulary:
        """Give the special tokens their names, and rows of their own where several are one or one is not.

        Args:
            words: by id.
            special: the ids of ``<start>`` and ``<end>``, and of ``<pad>`` and ``<unk>`` where they are.
            where: the file, for messages.

        Raises:
            CheckpointError: a word is empty or there twice, or an id is outside.
        """
        named, copies, taken = list(words), list[int | None](), dict[int, str]()
        for token in _BY_IMPORTANCE:
            row = special.get(token)
            if row is not None and not 0 <= row < len(words):
                raise CheckpointError(f"{where}: {token} is token {row} of {len(words)}; ids begin at 0")
            if row is None or row in taken:
                named.append(token)
                copies.append(row if token == START else None)
            else:
                taken[row] = token
                named[row] = token
        _check_words(named, where)
        return Vocabulary(tuple(named), len(words), tuple(copies), where)

    @property
    def size(self) -> int:
        """V of the model that is exported."""
        return len(self.words)

    def tokenizer(self) -> Tokenizer:
        """One token a word, which are joined with spaces."""
        library = require("tokenizers", "cpu")
        words = {word: number for number, word in enumerate(self.words)}
        backend = library.Tokenizer(library.models.WordLevel(words, unk_token=UNKNOWN))
        backend.pre_tokenizer = library.pre_tokenizers.WhitespaceSplit()
        backend.add_special_tokens([PAD, START, END, UNKNOWN])
        return Tokenizer(backend)

    def check_rows(self, rows: int, name: str, where: str) -> None:
        """See that a checkpoint has a row for each word.

        Args:
            rows: of the tensor called ``name`` in the file ``where``.

        Raises:
            CheckpointError: it has more or fewer.
        """
        if rows != self.rows:
            raise CheckpointError(
                f"{self.where} has {self.rows} words and {name} of {where} has {rows} rows; give the "
                "vocabulary that the checkpoint was trained with"
            )

    def embedding(self, weight: Tensor) -> nn.Embedding:
        """The checkpoint's (rows, E), with the rows that are added."""
        added = [weight.new_zeros(weight.shape[1]) if row is None else weight[row] for row in self.copies]
        table = nn.Embedding(self.size, weight.shape[1], device="meta")
        table.weight = nn.Parameter(torch.cat((weight, *(row.unsqueeze(0) for row in added))))
        return table.requires_grad_(False)

    def output(self, weight: Tensor, bias: Tensor | None) -> nn.Linear:
        """The checkpoint's (rows, H) and (rows,), with rows that are never chosen."""
        more = len(self.copies)
        own = weight.new_zeros(self.rows) if bias is None else bias
        linear = nn.Linear(weight.shape[1], self.size)
        linear.weight = nn.Parameter(torch.cat((weight, weight.new_zeros(more, weight.shape[1]))))
        linear.bias = nn.Parameter(torch.cat((own, own.new_full((more,), NEVER))))
        return linear.requires_grad_(False)


def read_json(path: Path, what: str) -> Any:
    """A JSON file's content.

    Args:
        what: the file is, for the message.

    Raises:
        OptionsError: there is no such file.
        CheckpointError: it is not JSON.
    """
    if not path.is_file():
        raise OptionsError(f"there is no file {path}; give {what} as JSON")
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is not JSON ({error}); give {what} as JSON") from error


def words_by_id(content: Any, where: str, first: int = 0) -> list[str]:
    """A list of words, ``{"word": id}`` or ``{"id": "word"}`` as the list of words by id.

    Args:
        content: as JSON has it.
        where: the file, for messages.
        first: the least id.

    Raises:
        CheckpointError: it is none of these, or ids are missing or there twice.
    """
    if isinstance(content, list):
        entries = list(enumerate(content, first))
    elif isinstance(content, dict):
        entries = [_entry(key, value, where) for key, value in content.items()]
    else:
        entries = []
    if not entries:
        raise CheckpointError(f"{where} has no words; a table of word and id, or a list of words, is needed")
    words = dict(entries)
    expected = range(first, first + len(entries))
    if missing := [number for number in expected if number not in words]:
        raise CheckpointError(
            f"{where} has {len(entries)} words, whose ids have to be {first} to {expected[-1]}; there is no "
            f"{_some(missing)}"
        )
    if wrong := [number for number in expected if not isinstance(words[number], str)]:
        raise CheckpointError(f"{where}: word {wrong[0]} is {words[wrong[0]]!r}, which is no text")
    return [words[number] for number in expected]


def _entry(key: str, value: Any, where: str) -> tuple[int, Any]:
    """One of ``{"word": id}`` or ``{"id": "word"}``."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value, key
    if isinstance(value, str) and key.isdecimal():
        return int(key), value
    raise CheckpointError(f"{where} has {key!r}: {value!r}; a word and its id are needed, either way round")


def _check_words(words: Sequence[str], where: str) -> None:
    places: dict[str, int] = {}
    for number, word in enumerate(words):
        if not word.strip():
            raise CheckpointError(f"{where}: word {number} is {word!r}; an empty word cannot be written")
        if word.endswith("@@"):
            raise CheckpointError(
                f"{where}: word {number} is {word!r}, a part of a word; vocabularies of whole words are read"
            )
        if word in places:
            raise CheckpointError(
                f"{where}: {word!r} is word {places[word]} and word {number}; words have to differ, and "
                f"{PAD}, {START}, {END} and {UNKNOWN} are the special tokens' names"
            )
        places[word] = number


def _some(numbers: Sequence[int]) -> str:
    more = f" and {len(numbers) - _LISTED} more" if len(numbers) > _LISTED else ""
    return ", ".join(map(str, numbers[:_LISTED])) + more
