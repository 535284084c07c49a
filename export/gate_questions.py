"""The questions that the gates ask, and how the bundle will read any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnnrnn.core.bundle import QUESTION_TOKENIZER, Bundle
from cnnrnn.core.errors import OptionsError
from cnnrnn.core.manifest import QuestionSpec
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.runtime.questions import QuestionReader, Questions


@dataclass(frozen=True)
class GateQuestions:
    """Questions of the kind that a model will be asked.

    Attributes:
        texts: the questions, one at least.
        tokenizer: of questions.
        max_length: Q, the most tokens of one.
    """

    texts: Sequence[str]
    tokenizer: Tokenizer
    max_length: int

    @property
    def spec(self) -> QuestionSpec:
        """What the manifest says of questions."""
        tokenizer = self.tokenizer
        examples = tuple(self.texts)
        return QuestionSpec(QUESTION_TOKENIZER, self.max_length, tokenizer.size, tokenizer.pad, examples)

    def read(self) -> Questions:
        """All of them as the encoder reads them.

        Raises:
            OptionsError: there is none, or one cannot be read.
        """
        if not self.texts:
            raise OptionsError("questions is empty, and the parity gate has to ask some; give one or more")
        return QuestionReader(self.spec, self.tokenizer).read(self.texts)


def bundle_questions(bundle: Bundle) -> Questions | None:
    """What a bundle's own gates have asked, where it is asked anything."""
    reader = QuestionReader.of(bundle)
    return None if reader is None else reader.read(reader.spec.examples)
