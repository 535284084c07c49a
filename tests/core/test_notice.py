"""A manifest's notice, sections and views: kept where they are, absent where they are not."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

import cnnrnn
from cnnrnn.core.errors import BundleError
from cnnrnn.core.manifest import Manifest

SHIPPED = sorted((Path(cnnrnn.__file__).parent / "bundles").glob("*/manifest.json"))


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.parent.name)
def test_shipped_manifests_are_written_as_they_were(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert Manifest.from_json(text).to_json() == text


def test_notice_sections_and_views_come_back() -> None:
    plain = Manifest.from_json(SHIPPED[0].read_text(encoding="utf-8"))
    image = dataclasses.replace(plain.image, views=2)
    told = dataclasses.replace(plain, image=image, notice="not for diagnosis", sections=("Findings:",))
    assert Manifest.from_json(told.to_json()) == told
    content = json.loads(told.to_json())
    with pytest.raises(BundleError, match="distinct words are needed"):
        Manifest.from_json(json.dumps({**content, "sections": ["A:", "a:"]}))
    with pytest.raises(BundleError, match="notice is ' '; a text is needed"):
        Manifest.from_json(json.dumps({**content, "notice": " "}))
