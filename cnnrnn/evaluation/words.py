"""Captions as words, which is what every metric counts."""

from __future__ import annotations

import contextlib
import shutil
import unicodedata
from collections.abc import Callable, Sequence
from typing import Literal

from cnnrnn.core.errors import BackendError, MissingDependencyError, OptionsError, StorageError
from cnnrnn.core.extras import require

TokenizerName = Literal["plain", "ptb", "zh", "char"]
TOKENIZERS = {
    "plain": "lower case, split at white space, without punctuation; the same on every machine",
    "ptb": "the Penn Treebank's, by Stanford CoreNLP, as published scores have it; needs Java",
    "zh": "plain, and every Chinese character a word",
    "char": "plain, and every character a word",
}
"""The ways to split a caption, each with what it does."""

_KEPT = frozenset("'’-_\u200c\u200d")


def split_words(texts: Sequence[str], tokenizer: str) -> list[str]:
    """Captions as words with one space between them.

    Args:
        texts: captions.
        tokenizer: one of :data:`TOKENIZERS`.

    Raises:
        OptionsError: there is no such tokenizer.
        MissingDependencyError: Java, or the extra ``eval``, is not installed.
        StorageError, BackendError: Java's tokenizer cannot be run, or failed.
    """
    check_tokenizer(tokenizer)
    if tokenizer == "ptb":
        return _treebank(texts)
    plain = [" ".join(text.lower().translate(_Plain()).split()) for text in texts]
    if tokenizer == "plain":
        return plain
    split = _of_sacrebleu(tokenizer)
    return [" ".join(split(text).split()) for text in plain]


def check_tokenizer(tokenizer: str) -> None:
    """Refuses a tokenizer that cannot be had, before any work.

    Raises:
        OptionsError: there is no such tokenizer.
        MissingDependencyError: it needs Java, which is not there.
    """
    if tokenizer not in TOKENIZERS:
        raise OptionsError(f"tokenizer={tokenizer!r} is unknown; give one of {', '.join(TOKENIZERS)}")
    if tokenizer == "ptb" and shutil.which("java") is None:
        raise MissingDependencyError(
            "the tokenizer ptb needs Java, and there is no java on PATH. Install it, on Debian and Ubuntu "
            "with: apt install default-jre-headless; or give the tokenizer plain",
            name="java",
        )


class _Plain(dict[int, int | str]):
    """A table for :meth:`str.translate`, filled as it is used: a space for each sign that is no word's."""

    def __missing__(self, code: int) -> int | str:
        letter = chr(code)
        category = unicodedata.category(letter)
        kept = category[0] in "LMN" or category == "So" or letter in _KEPT or 0x1F3FB <= code <= 0x1F3FF
        self[code] = code if kept else " "
        return self[code]


def _of_sacrebleu(name: str) -> Callable[[str], str]:
    module = require(f"sacrebleu.tokenizers.tokenizer_{name}", extra="eval")
    split: Callable[[str], str] = getattr(module, f"Tokenizer{name.capitalize()}")()
    return split


def _treebank(texts: Sequence[str]) -> list[str]:
    """One process for all of them; a line's end inside a caption would put every later one out of step."""
    lines = {number: [{"caption": " ".join(text.split())}] for number, text in enumerate(texts)}
    tokenizer = require("pycocoevalcap.tokenizer.ptbtokenizer", extra="eval").PTBTokenizer()
    try:
        with contextlib.redirect_stdout(None):
            words = tokenizer.tokenize(lines)
    except OSError as error:
        raise StorageError(
            f"the tokenizer ptb cannot be run: {error}. It writes a file into the folder of pycocoevalcap, "
            "which has to be writable; the tokenizer plain needs no such thing"
        ) from error
    if len(words) != len(lines):
        raise BackendError(
            f"Java's tokenizer ptb answered {len(words)} of {len(lines)} captions; see what it wrote, or "
            "give the tokenizer plain"
        )
    return [" ".join(several[0].split()) for several in words.values()]
