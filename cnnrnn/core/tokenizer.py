"""Token ids to text and back, over Hugging Face ``tokenizers`` and its ``tokenizer.json``.

The special tokens are named ``<pad>``, ``<start>``, ``<end>`` and ``<unk>``. Their ids are read from the
file; training here gives them 0, 1, 2 and 3. Where captions are in several languages each has a special
token too, ``<language:uk>`` for example, which is fed to the decoder in the place of ``<start>``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cnnrnn.core.errors import BundleError, OptionsError
from cnnrnn.core.extras import require

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend

PAD, START, END, UNKNOWN = "<pad>", "<start>", "<end>", "<unk>"
_LANGUAGE = re.compile(r"<language:([A-Za-z0-9-]+)>")


def language_token(code: str) -> str:
    """How a vocabulary spells the token of a language."""
    return f"<language:{code}>"


class Tokenizer:
    """A vocabulary and its rules for joining tokens into text. Safe to use from several threads.

    Args:
        backend: a ``tokenizers.Tokenizer`` whose vocabulary holds ``<pad>``, ``<start>`` and ``<end>``.

    Attributes:
        languages: by code the token id of each language, in the order of the ids.

    Raises:
        BundleError: one of those three tokens is absent.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.size: int = backend.get_vocab_size(with_added_tokens=True)
        self.pad = self._special(PAD)
        self.start = self._special(START)
        self.end = self._special(END)
        self.unknown: int | None = backend.token_to_id(UNKNOWN)
        self.languages = _languages(backend)
        self._skipped = frozenset({self.pad, self.start, self.end, *self.languages.values()})

    @classmethod
    def from_json(cls, data: bytes | str) -> Tokenizer:
        """Read the text of a ``tokenizer.json``.

        Raises:
            BundleError: it is not one, or lacks a special token.
            MissingDependencyError: ``tokenizers`` is not installed.
        """
        library = require("tokenizers", "cpu")
        try:
            text = data.decode("utf-8") if isinstance(data, bytes) else data
            backend = library.Tokenizer.from_str(text)
        except Exception as error:  # the library raises plain Exception for every malformed file
            raise BundleError(f"tokenizer.json cannot be read: {error}") from error
        return cls(backend)

    def to_json(self) -> str:
        """The text of ``tokenizer.json``."""
        return self.backend.to_str()

    def encode(self, text: str) -> list[int]:
        """Token ids of ``text``, without ``<start>`` and ``<end>``."""
        return list(self.backend.encode(text, add_special_tokens=False).ids)

    def spell(self, text: str, what: str) -> tuple[int, ...]:
        """Token ids of a text that an answer has to hold, so each of its words has to be known.

        Args:
            what: the text is, at the beginning of a message.

        Raises:
            OptionsError: naming ``what`` and a word that the vocabulary lacks, or that is a special token.
        """
        found = self.backend.encode(text, add_special_tokens=False)
        refused = self._skipped | {self.unknown}
        for token, (start, end) in zip(found.ids, found.offsets, strict=True):
            if token in refused:
                why = (
                    f"the vocabulary of {self.size} lacks" if token == self.unknown else "is a special token"
                )
                raise OptionsError(
                    f"{what} {text!r} has {text[start:end]!r}, which {why}; leave it out or say it otherwise"
                )
        return tuple(found.ids)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of token ids; ``<pad>``, ``<start>``, ``<end>`` and languages are left out, ``<unk>``
        is shown."""
        kept = [int(token) for token in ids if int(token) not in self._skipped]
        return self.backend.decode(kept, skip_special_tokens=False)

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """Each id's token as the vocabulary spells it (a BPE token may be part of a word).

        Raises:
            BundleError: an id outside the vocabulary.
        """
        return [self._token(int(token)) for token in ids]

    def _token(self, token: int) -> str:
        text = self.backend.id_to_token(token) if 0 <= token < 2**32 else None
        if text is None:
            raise BundleError(f"token {token} is outside the vocabulary of {self.size}")
        return text

    def _special(self, name: str) -> int:
        found: int | None = self.backend.token_to_id(name)
        if found is None:
            raise BundleError(
                f"tokenizer.json has no token {name!r}; add {PAD}, {START} and {END} as special tokens"
            )
        return found


def _languages(backend: Backend) -> dict[str, int]:
    added = sorted(backend.get_added_tokens_decoder().items())
    found = ((_LANGUAGE.fullmatch(token.content), number) for number, token in added if token.special)
    return {code[1]: number for code, number in found if code is not None}
