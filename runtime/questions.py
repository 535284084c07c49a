"""Questions about pictures, as the encoder reads them: token ids of one length, and how many count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnrnn.core.bundle import Bundle
from cnnrnn.core.errors import OptionsError
from cnnrnn.core.manifest import QuestionSpec
from cnnrnn.core.tokenizer import Tokenizer


@dataclass(frozen=True)
class Questions:
    """B questions.

    Attributes:
        tokens: (B, Q) int32 token ids, filled up with the pad token.
        lengths: (B) int32, 1 to Q.
    """

    tokens: NDArray[np.int32]
    lengths: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def inputs(self) -> dict[str, NDArray[Any]]:
        """The encoder's inputs by name."""
        return {"question": self.tokens, "question_length": self.lengths}

    def rows(self, chosen: slice | Sequence[int]) -> Questions:
        """Some of them, in the order that is asked for."""
        return Questions(self.tokens[chosen], self.lengths[chosen])


@dataclass(frozen=True)
class QuestionReader:
    """Turns texts into `Questions`, as a bundle wants them."""

    spec: QuestionSpec
    tokenizer: Tokenizer

    @staticmethod
    def of(bundle: Bundle) -> QuestionReader | None:
        """The reader of an opened bundle; None where it is asked nothing.

        Raises:
            BundleError: its tokenizer is missing or altered.
        """
        spec, tokenizer = bundle.manifest.question, bundle.question_tokenizer()
        return None if spec is None or tokenizer is None else QuestionReader(spec, tokenizer)

    def read(self, texts: Sequence[str]) -> Questions:
        """The questions, in order; words that the model has never met become its unknown word.

        Raises:
            OptionsError: a question is no text, has no word, has more tokens than the bundle takes, or has a
                word that a vocabulary without an unknown word lacks.
        """
        tokens = np.full((len(texts), self.spec.max_length), self.spec.pad, np.int32)
        lengths = np.zeros(len(texts), np.int32)
        for row, text in enumerate(texts):
            found = self._tokens(text)
            tokens[row, : len(found)] = found
            lengths[row] = len(found)
        return Questions(tokens, lengths)

    def unknown_words(self, text: str) -> tuple[str, ...]:
        """The words of a question that its vocabulary lacks, as they are written there."""
        found = self.tokenizer.backend.encode(text, add_special_tokens=False)
        pairs = zip(found.ids, found.offsets, strict=True)
        return tuple(
            text[start:end].strip() for token, (start, end) in pairs if token == self.tokenizer.unknown
        )

    def _tokens(self, text: object) -> Sequence[int]:
        if not isinstance(text, str):
            raise OptionsError(f"question={text!r} is no text; give a question, such as 'what is this?'")
        if self.tokenizer.unknown is None:
            found: Sequence[int] = self.tokenizer.spell(text, "question")
        else:
            found = self.tokenizer.encode(text)
        if not found:
            raise OptionsError(f"question={text!r} has no word; ask something")
        if len(found) > self.spec.max_length:
            raise OptionsError(
                f"question={text[:60]!r}{'...' if len(text) > 60 else ''} has {len(found)} tokens, and the "
                f"bundle takes {self.spec.max_length}; ask in fewer words"
            )
        return found
