"""Codes of languages, and what a manifest may say of them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from cnnrnn.core.errors import BundleError, OptionsError
from cnnrnn.core.languages import canonical, match, matched
from cnnrnn.core.manifest import LanguageSpec, Manifest
from cnnrnn.core.samples import package_data
from tests.runtime import tiny_bundle

KNOWN = ("en", "de", "pt-BR", "zh-Hans", "zh-Hant", "sr-Latn")


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("EN", "en"),
        ("pt_br", "pt-BR"),
        ("ZH-hans-cn", "zh-Hans-CN"),
        (" uk ", "uk"),
        ("es-419", "es-419"),
        ("en-a-bbb-x-ab", "en-a-bbb-x-ab"),
        ("", None),
        ("e", None),
        ("de-", None),
        ("german!", None),
    ],
)
def test_codes_are_spelt_as_is_usual(written: str, code: str | None) -> None:
    assert canonical(written) == code


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("de", "de"),
        ("de-AT", "de"),
        ("DE_at", "de"),
        ("de-x-dialect", "de"),
        ("zh-Hant-HK", "zh-Hant"),
        ("pt_br", "pt-BR"),
        ("pt", "pt-BR"),
        ("sr", "sr-Latn"),
        ("zh", None),  # either
        ("pt-PT", None),
        ("d", None),
        ("fr", None),
    ],
)
def test_lookup(asked: str, found: str | None) -> None:
    assert match(asked, KNOWN) == found


def test_what_there_is_is_listed() -> None:
    with pytest.raises(OptionsError, match=r"language='zh': the bundle 'b' has en, de, pt-BR, zh-Hans"):
        matched("zh", KNOWN, "b")
    with pytest.raises(OptionsError, match="language=7: the bundle 'b' has en"):
        matched(7, KNOWN, "b")
    with pytest.raises(OptionsError, match="language='de': the bundle 'b' has one language alone"):
        matched("de", (), "b")


def test_a_manifest_keeps_its_languages() -> None:
    spoken = LanguageSpec("de", {"en": 1, "de": 4})
    manifest = dataclasses.replace(tiny_bundle.manifest(), languages=spoken)
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert (manifest.start, tiny_bundle.manifest().start) == (4, 1)


def test_manifests_without_languages_are_as_they_were() -> None:
    assert "languages" not in json.loads(tiny_bundle.manifest().to_json())
    for path in sorted(Path(package_data("bundles")).glob("*/manifest.json")):
        text = path.read_text(encoding="utf-8")
        assert Manifest.from_json(text).to_json() == text, path


@pytest.mark.parametrize(
    ("languages", "said"),
    [
        ({"default": "fr", "tokens": {"en": 4}}, "default is 'fr'; one of en"),
        ({"default": "en", "tokens": {}}, "default is 'en'; one of"),
        ({"default": "en", "tokens": {"en": 24}}, r"tokens\.en is 24; a token below 24"),
        ({"default": "en", "tokens": {"en": 2}}, r"tokens\.en is 2; a token"),
        ({"default": "en", "tokens": {"en": 4, "de": 4}}, "has a token twice"),
        ({"default": "EN", "tokens": {"EN": 4}}, "'EN' is no code of a language"),
        ({"default": "en", "tokens": {"en": "4"}}, "'4'; an integer"),
        ({"default": "en"}, "lacks 'tokens'"),
    ],
)
def test_wrong_languages_are_refused(languages: dict[str, Any], said: str) -> None:
    content = json.loads(tiny_bundle.manifest().to_json())
    with pytest.raises(BundleError, match=said):
        Manifest.from_json(json.dumps({**content, "languages": languages}))
