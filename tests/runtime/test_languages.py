"""A language asked for is the first token: each picture's answer is that of a search which starts so."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest

from cnnrnn.cli import main
from cnnrnn.core.bundle import write_bundle
from cnnrnn.core.errors import OptionsError
from cnnrnn.core.manifest import LanguageSpec
from cnnrnn.runtime.loading import load
from cnnrnn.runtime.model import Model
from cnnrnn.runtime.result import Result
from tests.runtime import tiny_bundle

CODES = {"en": 4, "de": 5, "pt-BR": 6, "ar": 7}


def _write(folder: Path, start: int = 1, languages: LanguageSpec | None = None) -> Path:
    """The tiny bundle, started with a token by its languages, or by a vocabulary that says so."""
    manifest = dataclasses.replace(tiny_bundle.manifest(), languages=languages)
    files = tiny_bundle.files()
    if start != 1:  # the start token trades places with another
        content = json.loads(files["tokenizer.json"])
        words = content["model"]["vocab"]
        other = next(word for word, token in words.items() if token == start)
        words["<start>"], words[other] = start, 1
        for token in content["added_tokens"]:
            token["id"] = words[token["content"]]
        files["tokenizer.json"] = json.dumps(content).encode()
        manifest = dataclasses.replace(
            manifest, vocabulary=dataclasses.replace(manifest.vocabulary, start=start)
        )
    write_bundle(folder, manifest, files)
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("languages") / "tiny"
    return _write(folder, languages=LanguageSpec("de", CODES))


@pytest.fixture
def spoken(bundle: Path) -> Iterator[Model]:
    with load(bundle, threads=1) as opened:
        yield opened


@pytest.mark.parametrize("options", [{}, {"repetition_penalty": 3.0}, {"no_repeat_ngram_size": 1}])
def test_it_is_what_is_fed_first(
    spoken: Model, pictures: list[Any], tmp_path: Path, options: dict[str, Any]
) -> None:
    """As in a bundle whose start token it is: also where what was fed counts for an option."""
    answers = []
    for code, token in CODES.items():
        result = spoken(pictures[4], language=code, **options)
        with load(_write(tmp_path / code, token), threads=1) as alike:
            wanted = alike(pictures[4], **options)
        assert [found.tokens for found in result.hypotheses] == [one.tokens for one in wanted.hypotheses]
        assert result.score == wanted.score
        assert (result.language, wanted.language) == (code, None)
        answers.append(result.tokens)
    assert len(set(answers)) > 1


def test_each_picture_of_a_list_has_its_own(spoken: Model, pictures: list[Any]) -> None:
    codes = [list(CODES)[index % len(CODES)] for index in range(len(pictures))]
    results = spoken(pictures * 2, language=codes * 2)  # more than go through the graphs together
    assert [result.language for result in results] == codes * 2
    singles = [spoken(picture, language=code) for picture, code in zip(pictures, codes, strict=True)]
    assert [result.tokens for result in results] == [result.tokens for result in singles] * 2


def test_the_default_and_codes_as_people_write_them(spoken: Model, pictures: list[Any]) -> None:
    assert spoken(pictures[0]).tokens == spoken(pictures[0], language="de-AT").tokens
    assert [spoken(pictures[0], language=code).language for code in ("pt", "PT_br", "DE")] == [
        "pt-BR",
        "pt-BR",
        "de",
    ]
    mapped = list(spoken.map(pictures[:2], language="ar"))
    assert [result.language for result in mapped if isinstance(result, Result)] == ["ar", "ar"]
    stream = spoken.stream(pictures[0], language="ar")
    assert "".join(piece.text for piece in stream) == stream.result.text
    assert stream.result.language == "ar"


def test_phrases_and_prefixes_are_checked_after_it(spoken: Model, pictures: list[Any]) -> None:
    """A language's token counts for what may come after it: no n-gram repeats it."""
    phrases = spoken.phrases(["word0 word9", "word8 word9"])
    found = [
        spoken(pictures[0], language=code, phrases=phrases, no_repeat_ngram_size=1, beams=1, n_best=1).text
        for code in ("en", "de")
    ]
    assert found[0] == "word8 word9"  # word0 is en's token
    with pytest.raises(OptionsError, match=r"prefix has .* no_repeat_ngram_size=1 forbids"):
        spoken(pictures[0], language="en", prefix="word0", no_repeat_ngram_size=1)
    assert spoken(pictures[0], language="de", prefix="word0", no_repeat_ngram_size=1).tokens[0] == 4


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("fr", r"language='fr': the bundle 'tiny' has en, de, pt-BR, ar; give one"),
        (["de", "fr"], "language='fr'"),
        ([], "language=.* is empty"),
        (["de", "en", "ar"], "language has 3 values, one for each image, for 2 images"),
        (3, "language=3"),
    ],
)
def test_what_it_has_not_is_refused(spoken: Model, pictures: list[Any], language: Any, said: str) -> None:
    with pytest.raises(OptionsError, match=said):
        spoken(pictures[:2], language=language)


def test_a_bundle_of_one_language_is_asked_for_none(model: Model, pictures: list[Any]) -> None:
    with pytest.raises(OptionsError, match="language='de': the bundle 'tiny' has one language alone"):
        model(pictures[0], language="de")
    assert "language" not in model(pictures[0]).to_dict()


@pytest.fixture
def picture(pictures: list[Any], tmp_path: Path) -> str:
    path = tmp_path / "one.png"
    cv2.imwrite(str(path), pictures[4])
    return str(path)


def test_the_command_line(bundle: Path, picture: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(bundle), picture, "--language", "all", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["language"] for line in lines] == list(CODES)
    assert len({line["text"] for line in lines}) > 1
    assert main(["run", str(bundle), picture, "--language", "pt,DE-at"]) == 0
    one, other = capsys.readouterr().out.splitlines()
    assert one.startswith(f"{picture}: pt-BR: {lines[2]['text']}  (")
    assert other.startswith(f"{picture}: de: {lines[1]['text']}  (")
    assert main(["inspect", str(bundle)]) == 0
    assert "en, de, pt-BR, ar; de by default" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "flags", "said"),
    [
        ("", ["--language", "fr"], "--language 'fr': the bundle 'tiny' has en, de, pt-BR, ar"),
        ("emoji", ["--language", "all"], "--language 'all': the bundle 'emoji' has one language alone"),
        ("", ["--language", "de,en", "--batch", "2"], "2 languages, which are written together, and --batch"),
        ("", ["--language", "de,en", "--stream"], "and --stream takes one"),
        ("", ["--language", "de", "--question", "what?"], "--language de contradicts --question"),
    ],
)
def test_wrong_requests(
    name: str,
    flags: list[str],
    said: str,
    bundle: Path,
    picture: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["run", name or str(bundle), picture, *flags]) == 2
    assert said in capsys.readouterr().err
