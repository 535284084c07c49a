"""What the gates decode: pictures, and where the model is asked about them, a question for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnrnn.runtime.questions import Questions

BATCH = 8


@dataclass(frozen=True)
class Part:
    """Some of the pictures, which go through the graphs together.

    Attributes:
        names: of each answer's picture.
        images: (B, H, W, 3) uint8 RGB, or one for all questions.
        questions: B of them, or None.
    """

    names: Sequence[str]
    images: NDArray[np.uint8]
    questions: Questions | None = None

    def pair(self, row: int) -> tuple[NDArray[np.uint8], Questions | None]:
        """One answer's picture, (1, H, W, 3), and question."""
        image = self.images[row : row + 1] if len(self.images) > 1 else self.images
        return image, None if self.questions is None else self.questions.rows([row])


@dataclass(frozen=True)
class Pictures:
    """Names and pixels: ``pixels[i]`` is (H, W, 3) uint8 RGB, of the encoder's size; and what is asked of it.

    Each picture has its own question; in the end several are asked about the first one.
    """

    names: Sequence[str]
    pixels: Sequence[NDArray[np.uint8]]
    questions: Questions | None = None

    def __len__(self) -> int:
        """How many answers there are."""
        return sum(len(names) for names in self._names())

    def parts(self) -> Iterator[Part]:
        """All of them, in parts; where there are questions, in the end several about the first picture."""
        for first in range(0, len(self.pixels), BATCH):
            rows = slice(first, first + BATCH)
            asked = None if self.questions is None else self.questions.rows(rows)
            yield Part(self.names[rows], np.stack(self.pixels[rows]), asked)
        if self.questions is not None:
            *_, names = self._names()
            yield Part(names, self.pixels[0][None], self.questions.rows(slice(len(names))))

    def chosen(self, places: Sequence[int]) -> Pictures:
        """Some of them, in the order that is asked for."""
        names, pixels = ([entries[place] for place in places] for entries in (self.names, self.pixels))
        questions = None if self.questions is None else self.questions.rows(places)
        return Pictures(names, pixels, questions)  # type: ignore[arg-type]

    def _names(self) -> Iterator[Sequence[str]]:
        for first in range(0, len(self.pixels), BATCH):
            yield self.names[first : first + BATCH]
        if self.questions is not None:
            count = min(BATCH, len(self.questions))
            yield [f"{self.names[0]}, question {number} of {count}" for number in range(1, count + 1)]
