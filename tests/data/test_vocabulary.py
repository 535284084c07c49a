"""Vocabularies: the special tokens, the round trip, and the options."""

import pytest

from cnnrnn.core.errors import ConfigError, DataError
from cnnrnn.data.vocabulary import VocabularyConfig, build_tokenizer

CAPTIONS = ["A cat, asleep.", "a dog", "a dog runs", "Éclair: 3 €"]


@pytest.mark.parametrize("kind", ["word", "bpe"])
def test_special_tokens_come_first(kind: str) -> None:
    tokenizer = build_tokenizer(CAPTIONS, VocabularyConfig(kind=kind))  # type: ignore[arg-type]
    assert (tokenizer.pad, tokenizer.start, tokenizer.end, tokenizer.unknown) == (0, 1, 2, 3)


@pytest.mark.parametrize("kind", ["word", "bpe"])
@pytest.mark.parametrize("text", CAPTIONS)
def test_text_comes_back_when_punctuation_is_kept(kind: str, text: str) -> None:
    config = VocabularyConfig(kind=kind, lowercase=False, punctuation="keep")  # type: ignore[arg-type]
    tokenizer = build_tokenizer(CAPTIONS, config)
    ids = tokenizer.encode(text)
    assert tokenizer.decode([tokenizer.start, *ids, tokenizer.end, tokenizer.pad]) == text


def test_as_captioners_on_coco_have_it() -> None:
    tokenizer = build_tokenizer(CAPTIONS, VocabularyConfig())
    assert tokenizer.decode(tokenizer.encode("A CAT, asleep!")) == "a cat asleep"


def test_rare_words_are_unknown() -> None:
    tokenizer = build_tokenizer(CAPTIONS, VocabularyConfig(min_count=2))
    assert tokenizer.encode("a dog asleep") == [*tokenizer.encode("a dog"), tokenizer.unknown]


def test_bpe_knows_every_script() -> None:
    config = VocabularyConfig(kind="bpe", punctuation="keep")
    tokenizer = build_tokenizer(CAPTIONS, config)
    assert tokenizer.decode(tokenizer.encode("кішка 猫 🐈")) == "кішка 猫 🐈"


def test_size_is_kept() -> None:
    tokenizer = build_tokenizer(CAPTIONS, VocabularyConfig(size=6))
    assert tokenizer.size == 6


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "letter"}, "kind = 'letter'"),
        ({"punctuation": "some"}, "punctuation = 'some'"),
        ({"size": 4}, "size = 4 must be from 5"),
        ({"kind": "bpe", "size": 200}, "size = 200 must be from 260"),
        ({"min_count": 0}, "min_count = 0"),
    ],
)
def test_refused_with_a_sentence(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        VocabularyConfig(**options)  # type: ignore[arg-type]
    assert said in str(caught.value)


def test_no_word_left() -> None:
    with pytest.raises(DataError, match="lower min_count"):
        build_tokenizer(["a cat", "one dog"], VocabularyConfig(min_count=5))


SCRIPTS = (
    "قطة نائمة على سجادة",
    "می‌خواهم بخوابم",
    "一只猫睡在垫子上",
    "एक बिल्ली चटाई पर सो रही है",
    "क्‍ष 👩🏽‍🚀 😺",
)


@pytest.mark.parametrize("kind", ["word", "bpe"])
@pytest.mark.parametrize("text", SCRIPTS)
def test_dropping_punctuation_spoils_no_script(kind: str, text: str) -> None:
    tokenizer = build_tokenizer(SCRIPTS, VocabularyConfig(kind=kind))  # type: ignore[arg-type]
    assert tokenizer.decode(tokenizer.encode(f"«{text}»!")).strip() == text


def test_bpe_splits_what_has_no_white_space() -> None:
    captions = ["一只猫睡在垫子上", "一只狗睡在垫子上"]
    assert len(build_tokenizer(captions, VocabularyConfig()).encode(captions[0])) == 1
    tokenizer = build_tokenizer(captions, VocabularyConfig(kind="bpe", min_count=2))
    assert 1 < len(tokenizer.encode(captions[0])) < len(captions[0].encode())
