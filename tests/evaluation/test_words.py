"""Captions as words, in every script and by every tokenizer."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cnnrnn.core.errors import BackendError, MissingDependencyError, OptionsError
from cnnrnn.evaluation.words import split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A man's T-shirt (red), isn't it?", "a man's t-shirt red isn't it"),
        ("एक बिल्ली, चटाई पर।", "एक बिल्ली चटाई पर"),
        ("قِطّة نائمة؟", "قِطّة نائمة"),
        ("می‌خواهم", "می‌خواهم"),
        ("一只猫，睡了。", "一只猫 睡了"),
        ("a 👩🏽‍🚀!", "a 👩🏽‍🚀"),
        ("  a\n b\u2028c ", "a b c"),
        ("", ""),
    ],
)
def test_plain(text: str, words: str) -> None:
    assert split_words([text], "plain") == [words]


def test_chinese_by_character() -> None:
    pytest.importorskip("sacrebleu")
    assert split_words(["一只猫，睡了 ok", "x"], "zh") == ["一 只 猫 睡 了 ok", "x"]
    assert split_words(["ねこ ok"], "char") == ["ね こ o k"]


def test_unknown_or_without_java(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionsError, match="'13a' is unknown; give one of plain, ptb, zh, char"):
        split_words(["x"], "13a")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingDependencyError, match=r"needs Java.*apt install default-jre-headless"):
        split_words(["x"], "ptb")


def test_a_java_that_answers_too_little_is_no_score_of_nought(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("pycocoevalcap")
    (tmp_path / "java").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "java").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendError, match="answered 1 of 2 captions"):
        split_words(["x", "y"], "ptb")


@pytest.mark.skipif(shutil.which("java") is None, reason="needs Java")
def test_the_treebanks() -> None:
    pytest.importorskip("pycocoevalcap")
    texts = ["A man's T-shirt, isn't it?", "", "one\u2028line\r\nonly", ""]
    assert split_words(texts, "ptb") == ["a man 's t-shirt is n't it", "", "one line only", ""]
