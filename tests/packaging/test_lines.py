"""The examples that draw lines of text: what is drawn, that parts share nothing, and phrases that agree."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

for package in ("PIL", "babel", "num2words", "matplotlib"):
    pytest.importorskip(package)

MODULES = (
    "alphabet", "fonts", "render", "texts", "lines", "tesseract", "lexicon", "agreement", "grammar",
    "translate",
)  # fmt: skip


@pytest.fixture(scope="module")
def example() -> Iterator[Any]:
    """Imports a module of the examples by its name, as their own scripts do."""
    repository = Path(__file__).resolve().parents[2]
    folders = [str(repository / "examples" / name) for name in ("read", "translate")]
    kept = list(sys.path)
    sys.path[:0] = folders
    yield importlib.import_module
    sys.path[:] = kept
    for name in (*MODULES, "testset"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, example: Any) -> Path:
    """What fetch.py would write, with the fonts that matplotlib brings."""
    import matplotlib

    folder = tmp_path_factory.mktemp("data")
    lines, translate = folder / "lines", folder / "translate"
    (lines / "fonts").mkdir(parents=True)
    translate.mkdir()
    alphabet = example("alphabet").ALPHABET
    fonts = []
    for part, name in (("train", "DejaVuSans"), ("train", "DejaVuSerif"), ("test", "DejaVuSansMono")):
        source = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"
        shutil.copyfile(source, lines / "fonts" / source.name)
        characters = alphabet.replace("ß", "") if name == "DejaVuSerif" else alphabet
        fonts.append(
            {"file": source.name, "part": part, "family": name, "package": "x", "characters": characters}
        )
    (lines / "fonts.json").write_text(json.dumps(fonts), encoding="utf-8")
    stems = [
        first + second for first in ("ba", "ké", "li", "mő", "nu") for second in ("r", "st", "ț", "ß", "da")
    ]
    words = {"de": stems, "en": [stem[::-1] for stem in stems]}
    (lines / "words.json").write_text(json.dumps(words), encoding="utf-8")
    names = {
        "purse": dict(
            zip(("de", "fr", "es", "it", "nl"), ("Börse", "sac", "bolso", "borsa", "tas"), strict=True)
        )
    }
    (translate / "names.json").write_text(json.dumps(names), encoding="utf-8")
    return folder


def drawn(source: Any, index: int, seed: int = 0) -> tuple[np.ndarray, str]:
    picture, text = source(index, np.random.default_rng((seed, 0, index)))
    return picture(), text


@pytest.mark.parametrize("look", ["clean", "degraded", "mixed"])
def test_lines_are_drawn_and_the_same_again(example: Any, data: Path, look: str) -> None:
    lines = example("lines").Lines(look=look, data=str(data / "lines"))
    alphabet = set(example("alphabet").ALPHABET)
    for index in range(40):
        picture, text = drawn(lines, index)
        again, same = drawn(lines, index)
        assert picture.dtype == np.uint8
        assert picture.shape[0] == 32
        assert 8 <= picture.shape[1] <= 256
        assert picture.shape[2] == 3
        assert np.array_equal(picture, again)
        assert text == same
        assert 1 <= len(text) <= 20
        assert set(text) <= alphabet
        assert np.ptp(picture.astype(int)) >= 30  # something is on it


def test_a_font_that_lacks_a_letter_is_not_used(example: Any, data: Path) -> None:
    fonts = example("fonts").Fonts(data / "lines", "train")
    found = {fonts.choose("Straße", np.random.default_rng(seed)).stem for seed in range(20)}
    assert found == {"DejaVuSans"}
    both = {fonts.choose("Strasse", np.random.default_rng(seed)).stem for seed in range(20)}
    assert both == {"DejaVuSans", "DejaVuSerif"}
    with pytest.raises(ValueError, match="no font has all characters of 'жук'"):
        fonts.choose("жук", np.random.default_rng(0))


def test_small_letters_stay_small(example: Any, data: Path) -> None:
    font = data / "lines" / "fonts" / "DejaVuSans.ttf"
    mask = example("fonts").mask
    small, comma, apostrophe = mask(font, "xox", 24), mask(font, ",", 24), mask(font, "'", 24)
    assert small.shape[0] > 1.5 * small.any(axis=1).sum() - 3
    assert np.argmax(comma.any(axis=1)) > comma.shape[0] / 2
    assert np.argmax(apostrophe.any(axis=1)) < apostrophe.shape[0] / 3


def test_words_for_testing_are_no_words_of_training(example: Any, data: Path) -> None:
    texts = example("texts")
    train, test = (texts.Texts(data / "lines", part).words for part in ("train", "test"))
    for language in ("de", "en"):
        assert not {word.lower() for word in train[language]} & {word.lower() for word in test[language]}
        assert len(train[language]) + len(test[language]) == 25
    assert texts.for_testing("Haus") == texts.for_testing("HAUS")


def test_the_recipes_read_and_draw(example: Any, data: Path, repository: Path) -> None:
    pytest.importorskip("torch")
    from cnnrnn.data.readers import Generated
    from cnnrnn.training import TrainConfig

    for name in ("read", "crnn", "translate"):
        config = TrainConfig.load(repository / "examples" / name / f"{name}.toml")
        (source,) = config.data.train
        assert isinstance(source, Generated)
        assert source.file.is_file()
        assert config.model.encoder == "crnn_small"
        options = {"data": str(data / "lines" if name != "translate" else data)}
        picture, caption = Generated(source.generator, 2, options=options).draw(1, 1)
        assert picture().shape[0] == config.image.height
        assert caption


def test_phrases_of_parts_share_nothing(example: Any, data: Path) -> None:
    translate = example("translate")
    english: dict[str, set[str]] = {}
    for part in translate.PARTS:
        phrases = translate.Phrases(part, data / "translate")
        english[part] = {phrases(np.random.default_rng(seed))[2] for seed in range(60)}
        assert len(english[part]) > 20
    train, phrases, combinations = english.values()
    assert not train & phrases
    assert not train & combinations
    assert not phrases & combinations


def test_a_held_out_combination_is_held_out_in_every_language(example: Any, data: Path) -> None:
    grammar, translate = example("grammar"), example("translate")
    names = json.loads((data / "translate" / "names.json").read_text(encoding="utf-8"))
    parts: dict[tuple[str, str], set[bool]] = {}
    for seed in range(900):
        made = grammar.phrase(np.random.default_rng(seed), names)
        held = translate.part_of(made) == "combinations"
        parts.setdefault((made.pattern, made.word), set()).add(held)
    assert all(len(held) == 1 for held in parts.values())
    assert 10 < sum(held == {True} for held in parts.values()) < len(parts) / 5


def test_every_pattern_speaks_all_languages_in_the_alphabet(example: Any, data: Path) -> None:
    grammar, alphabet = example("grammar"), set(example("alphabet").ALPHABET)
    names = json.loads((data / "translate" / "names.json").read_text(encoding="utf-8"))
    seen = set()
    for seed in range(800):
        made = grammar.phrase(np.random.default_rng(seed), names)
        seen.add(made.pattern)
        assert made.texts.keys() == {"en", "de", "fr", "es", "it", "nl"}
        for text in made.texts.values():
            assert set(text) <= alphabet
            assert len(text) <= 40
            assert not text.lstrip("¿¡")[0].islower()
    assert seen == {pattern.name for pattern in grammar.PATTERNS}


def place(example: Any, english: str) -> Any:
    return next(noun for noun in example("lexicon").PLACES if noun.en == english)


def test_articles_and_prepositions(example: Any) -> None:
    of: ModuleType = example("agreement")
    tower, stadium, hotel, lake = (place(example, name) for name in ("tower", "stadium", "hotel", "lake"))
    assert of.german(tower, "accusative") == "den Turm"
    assert of.german(place(example, "church"), "dative") == "der Kirche"
    assert of.french(hotel, "à côté de") == "à côté de l'hôtel"
    assert of.french(lake, "à côté de") == "à côté du lac"
    assert of.french(tower, "à côté de") == "à côté de la tour"
    assert of.spanish(lake, "al lado de") == "al lado del lago"
    assert of.spanish(tower, "al lado de") == "al lado de la torre"
    assert [of.italian(noun) for noun in (stadium, hotel, lake, tower)] == [
        "lo stadio", "l'hotel", "il lago", "la torre",
    ]  # fmt: skip
    assert [of.italian(noun, "accanto a") for noun in (stadium, hotel, lake, tower)] == [
        "accanto allo stadio", "accanto all'hotel", "accanto al lago", "accanto alla torre",
    ]  # fmt: skip
    assert of.italian(place(example, "school")) == "la scuola"
    assert of.dutch(hotel) == "het hotel"
    assert of.italian_day("domenica", "da") == "dalla domenica"
    assert of.italian_day("lunedì", "a") == "al lunedì"
    assert of.spanish_days("sábado") == "los sábados"
    assert of.spanish_days("lunes") == "los lunes"
    assert of.french_of(next(noun for noun in example("lexicon").DRINKS if noun.en == "water")) == "d'eau"


def test_the_page_of_translations(example: Any) -> None:
    pytest.importorskip("rapidfuzz")
    table = example("table")
    scores = table.scores(
        ["The bank", "To the zoo", "x", "Coffee"], ["The bank", "To the park", "y", "Coffee"]
    )
    assert scores["exact_match"] == 0.5
    low, high = scores["exact_match_interval"]
    assert low < 0.5 < high
    assert 0 < scores["chrf"] < 100
    results = {
        "known": 9,
        "pictures": 8,
        "parts": {name: {"floor": {**scores, "ms": 12.3}} for name in ("phrases", "combinations")},
    }
    page = table.page(results)
    assert "| phrases | floor | 50.0 % |" in page
    assert "{" not in page
    sys.modules.pop("table", None)


def test_the_nearest_picture_is_itself(example: Any, data: Path, tmp_path: Path) -> None:
    pytest.importorskip("rapidfuzz")
    table, translate = example("table"), example("translate")
    source = translate.Translations(look="clean", data=str(data))
    nearest = table.nearest_picture(source, 30)
    captions = {}
    for index in (3, 17):
        picture, text = drawn(source, index, table.SEED)
        cv2.imwrite(str(tmp_path / f"{index}.png"), picture[..., ::-1])
        captions[f"{index}.png"] = [text]
    (tmp_path / "captions.json").write_text(json.dumps(captions), encoding="utf-8")
    assert nearest(tmp_path) == [text for (text,) in captions.values()]
    sys.modules.pop("table", None)


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="there is no tesseract here")
def test_tesseract_reads_a_clean_line(example: Any, data: Path, tmp_path: Path) -> None:
    pytest.importorskip("jiwer")
    reader = example("tesseract")
    look = example("render").LOOKS["clean"]
    font = data / "lines" / "fonts" / "DejaVuSans.ttf"
    texts = ["Bahnhof 2026", "Museum"]
    for number, text in enumerate(texts):
        picture = example("render").line(text, font, look, 256, np.random.default_rng(number))
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture[..., ::-1])
    captions = {f"{number}.png": [text] for number, text in enumerate(texts)}
    (tmp_path / "captions.json").write_text(json.dumps(captions), encoding="utf-8")
    results = {"clean": reader.judged("-", tmp_path, "eng")}
    assert results["clean"]["Tesseract, enlarged"]["cer"] < 0.2
    assert "| clean | Tesseract |" in reader.table(results)
