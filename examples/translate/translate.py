"""The source of the recipe `translate`: a line in one of five languages, and what it says in English."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import numpy as np
from grammar import Phrase, phrase
from lexicon import LANGUAGES
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).resolve().parents[1] / "read"))
from fonts import Fonts
from render import HEIGHT, LOOKS, line

DATA = Path(__file__).resolve().parents[2] / "data"
WIDEST = 12
"""The widest picture, in heights."""

PARTS = ("train", "phrases", "combinations")
HELD_OUT = 12
"""One in so many combinations, and of the other phrases one in so many, is for testing alone."""


def part_of(made: Phrase) -> str:
    """The part that a phrase belongs to, in whichever language it stands.

    A combination of pattern and word that is for testing is in no training phrase. What is left is split by
    the English sentence, so that no sentence is in two parts.
    """
    if crc32(f"{made.pattern}: {made.word}".encode()) % HELD_OUT == 0:
        return "combinations"
    return "phrases" if crc32(made.texts["en"].encode()) % HELD_OUT == 0 else "train"


class Phrases:
    """Draws phrases of one part.

    Args:
        part: one of `PARTS`.
        data: the folder that examples/translate/fetch.py wrote.
    """

    def __init__(self, part: str, data: Path) -> None:
        if part not in PARTS:
            raise ValueError(f"part = {part!r} must be one of {', '.join(PARTS)}")
        self._part = part
        self._names = json.loads((data / "names.json").read_text(encoding="utf-8"))

    def __call__(self, random: np.random.Generator) -> tuple[str, str, str]:
        """A language, the line in it, and the English."""
        while True:
            made = phrase(random, self._names)
            if part_of(made) == self._part:
                language = LANGUAGES[int(random.integers(len(LANGUAGES)))]
                return language, made.texts[language], made.texts["en"]


class Translations:
    """Draws lines with their translations.

    Args:
        part: one of `PARTS`.
        fonts: ``"train"`` or ``"test"``.
        look: one of `render.LOOKS`.
        data: the folder with ``lines`` and ``translate``.
    """

    def __init__(
        self, part: str = "train", fonts: str = "train", look: str = "mixed", data: str = str(DATA)
    ) -> None:
        self._phrases = Phrases(part, Path(data) / "translate")
        self._fonts = Fonts(Path(data) / "lines", fonts)
        self._look = LOOKS[look]

    def __call__(
        self, index: int, random: np.random.Generator
    ) -> tuple[Callable[[], NDArray[np.uint8]], str]:
        """A function that draws the picture (32, W, 3) uint8 RGB, and the English."""
        _, text, english = self._phrases(random)
        return lambda: self.picture(text, random), english

    def picture(self, text: str, random: np.random.Generator) -> NDArray[np.uint8]:
        """A text's picture."""
        return line(text, self._fonts.choose(text, random), self._look, WIDEST * HEIGHT, random)
