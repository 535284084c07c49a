"""The fonts that `fetch.py` found, and one of them for a text: of those that have all of its characters."""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont

KEPT_OPEN = 1024
"""Fonts in a size that a process keeps open, a few kilobytes each."""


class Fonts:
    """One part's fonts; families are drawn first, so that one with many styles is no more frequent.

    Args:
        folder: that `fetch.py` wrote.
        part: ``"train"`` or ``"test"``.
    """

    def __init__(self, folder: Path, part: str) -> None:
        listed = json.loads((folder / "fonts.json").read_text(encoding="utf-8"))
        families: dict[str, list[tuple[Path, frozenset[str]]]] = defaultdict(list)
        for font in listed:
            if font["part"] == part:
                families[font["family"]].append(
                    (folder / "fonts" / font["file"], frozenset(font["characters"]))
                )
        if not families:
            raise ValueError(f"{folder / 'fonts.json'} has no fonts of the part {part!r}; train and test are")
        self._families = [families[name] for name in sorted(families)]

    def choose(self, text: str, random: np.random.Generator) -> Path:
        """A font that draws every character of the text.

        Raises:
            ValueError: none does.
        """
        wanted = set(text)
        for family in random.permutation(len(self._families)):
            able = [path for path, drawn in self._families[family] if wanted <= drawn]
            if able:
                return able[int(random.integers(len(able)))]
        raise ValueError(f"no font has all characters of {text!r}")


def mask(font: Path, text: str, size: int) -> NDArray[np.uint8]:
    """The text's ink, (H, W) uint8 from 0 to 255; shaped by HarfBuzz where Pillow has it.

    It is cut to the inked columns, and to rows that hold "Hg" of the font too: small letters stay small, and
    a comma is no apostrophe.

    Args:
        size: pixels per em.
    """
    opened, (first, last) = _opened(font, size)
    core, (_, top) = opened.getmask2(text, mode="L", anchor="ls")
    width, height = core.size
    ink = np.frombuffer(bytes(core), np.uint8).reshape(height, width)
    rows, columns = ink.any(axis=1).nonzero()[0], ink.any(axis=0).nonzero()[0]
    if not rows.size:
        raise ValueError(f"{font.name} draws nothing for {text!r}")
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    above, below = int(top + rows[0]), int(top + rows[-1] + 1)
    return np.pad(ink, ((max(0, above - first), max(0, last - below)), (0, 0)))


@functools.lru_cache(maxsize=KEPT_OPEN)
def _opened(font: Path, size: int) -> tuple[ImageFont.FreeTypeFont, tuple[int, int]]:
    """The font in a size, and where its "Hg" begins and ends, in rows below the baseline."""
    opened = ImageFont.truetype(str(font), size)
    _, first, _, last = opened.getbbox("Hg", anchor="ls")
    return opened, (int(first), int(last))
