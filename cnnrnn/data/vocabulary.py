"""Vocabularies by Hugging Face ``tokenizers``: whole words, byte pairs (Sennrich et al. 2016), characters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cnnrnn.core.errors import ConfigError, DataError
from cnnrnn.core.extras import require
from cnnrnn.core.tokenizer import END, PAD, START, UNKNOWN, Tokenizer, language_token

# All but letters, marks, digits, apostrophes, pictures such as emoji with their skin tones, and the joiners.
_PUNCTUATION = r"[^\p{L}\p{M}\p{N}\p{So}\x{1F3FB}-\x{1F3FF}\x{200C}\x{200D}'’\s]+"
SPECIAL_TOKENS = [PAD, START, END, UNKNOWN]


@dataclass(frozen=True)
class VocabularyConfig:
    """How captions become tokens.

    Attributes:
        kind: ``"word"``, or ``"bpe"`` over bytes, which has no unknown word and needs no white space between
            words, so it is the one for Chinese, Japanese and Thai; ``"character"``, for readers of text, has
            a token for each character, white space included, and gives a text back as it was, composed (NFC),
            where nothing is lower-cased or dropped.
        lowercase: whether captions are lower-cased.
        punctuation: ``"keep"`` splits words at white space alone, so that text comes back as it was;
            ``"drop"`` removes punctuation, as captioners on COCO do (Karpathy & Fei-Fei 2015), and keeps
            letters of every script, emoji, and the joiners that Persian, Hindi and emoji spell with.
        min_count: words seen less often become ``<unk>``; for ``"bpe"`` the least count of a merge.
        size: the largest vocabulary, special tokens included.
    """

    kind: Literal["word", "bpe", "character"] = "word"
    lowercase: bool = True
    punctuation: Literal["keep", "drop"] = "drop"
    min_count: int = 1
    size: int = 10_000

    def __post_init__(self) -> None:
        if self.kind not in ("word", "bpe", "character"):
            raise ConfigError(f"vocabulary kind = {self.kind!r} must be word, bpe or character")
        if self.punctuation not in ("keep", "drop"):
            raise ConfigError(f"vocabulary punctuation = {self.punctuation!r} must be keep or drop")
        least = len(SPECIAL_TOKENS) + (256 if self.kind == "bpe" else 1)
        if not least <= self.size <= 1_000_000:
            raise ConfigError(f"vocabulary size = {self.size} must be from {least} to 1000000")
        if self.min_count < 1:
            raise ConfigError(f"vocabulary min_count = {self.min_count} must be 1 or more")


def build_tokenizer(
    captions: Iterable[str], config: VocabularyConfig, languages: Sequence[str] = ()
) -> Tokenizer:
    """Learns a vocabulary from captions. ``<pad> <start> <end> <unk>`` are tokens 0 to 3, and those of the
    languages follow.

    Raises:
        DataError: no caption holds a word.
    """
    library = require("tokenizers", extra="train")
    tokenizer = {"word": _word, "bpe": _bpe, "character": _character}[config.kind](library)
    special = [*SPECIAL_TOKENS, *map(language_token, languages)]
    tokenizer.normalizer = _normalizer(library, config)
    trainer = library.trainers.BpeTrainer if config.kind == "bpe" else library.trainers.WordLevelTrainer
    options: dict[str, Any] = {"initial_alphabet": library.pre_tokenizers.ByteLevel.alphabet()}
    tokenizer.train_from_iterator(
        captions,
        trainer(
            vocab_size=config.size,
            min_frequency=config.min_count,
            special_tokens=special,
            show_progress=False,
            **(options if config.kind == "bpe" else {}),
        ),
    )
    result = Tokenizer(tokenizer)
    if result.size == len(special):
        raise DataError("no caption holds a word that occurs often enough for a vocabulary; lower min_count")
    return result


def _word(library: Any) -> Any:
    tokenizer = library.Tokenizer(library.models.WordLevel(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = library.pre_tokenizers.WhitespaceSplit()
    return tokenizer


def _character(library: Any) -> Any:
    tokenizer = library.Tokenizer(library.models.WordLevel(unk_token=UNKNOWN))
    each = library.Regex(r"[\s\S]")
    tokenizer.pre_tokenizer = library.pre_tokenizers.Split(each, behavior="isolated")
    tokenizer.decoder = library.decoders.Fuse()
    return tokenizer


def _bpe(library: Any) -> Any:
    tokenizer = library.Tokenizer(library.models.BPE(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = library.decoders.ByteLevel()
    return tokenizer


def _normalizer(library: Any, config: VocabularyConfig) -> Any:
    steps = [library.normalizers.NFC()]
    if config.lowercase:
        steps.append(library.normalizers.Lowercase())
    if config.punctuation == "drop":
        steps.append(library.normalizers.Replace(library.Regex(_PUNCTUATION), " "))
    if config.kind != "character":
        steps.append(library.normalizers.Replace(library.Regex(r"\s+"), " "))
        steps.append(library.normalizers.Strip())
    return library.normalizers.Sequence(steps)
