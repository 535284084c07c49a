"""The source of the recipes `read` and `crnn`: a text and its picture, for each number and epoch another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from fonts import Fonts
from numpy.typing import NDArray
from render import HEIGHT, LOOKS, line
from texts import Texts

DATA = Path(__file__).resolve().parents[2] / "data" / "lines"
WIDEST = 8
"""The widest picture, in heights: longer lines are set smaller."""


class Lines:
    """Draws lines.

    Args:
        part: ``"train"`` or ``"test"``, of both fonts and words.
        look: one of `render.LOOKS`.
        data: the folder that `fetch.py` wrote.
    """

    def __init__(self, part: str = "train", look: str = "mixed", data: str = str(DATA)) -> None:
        self._texts, self._fonts = Texts(Path(data), part), Fonts(Path(data), part)
        self._look = LOOKS[look]

    def __call__(
        self, index: int, random: np.random.Generator
    ) -> tuple[Callable[[], NDArray[np.uint8]], str]:
        """A function that draws the picture (32, W, 3) uint8 RGB, and its text."""
        text = self._texts(random)

        def picture() -> NDArray[np.uint8]:
            return line(text, self._fonts.choose(text, random), self._look, WIDEST * HEIGHT, random)

        return picture, text
