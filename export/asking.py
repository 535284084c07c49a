"""A model that is asked about pictures: every picture is looked at once, whatever the number of questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cnnrnn.core.manifest import QuestionSpec
from cnnrnn.export.protocol import StepResult, Tensors


@torch.library.custom_op("cnnrnn::for_each_question", mutates_args=())
def for_each_question(seen: Tensor, question: Tensor) -> Tensor:
    """What was seen on the pictures, for each question: of one picture repeated, else as it is.

    An operator of its own, since `torch.export` has no dimension that is 1 or another's size.

    Args:
        seen: (I, ...), where I is 1 or B.
        question: (B, Q).
    """
    return seen.expand(question.shape[0], *seen.shape[1:]).clone()


@for_each_question.register_fake
def _(seen: Tensor, question: Tensor) -> Tensor:
    return seen.new_empty(question.shape[0], *seen.shape[1:])


def answer_memory(model: Any, image: Tensor, question: Tensor, length: Tensor) -> Tensors:
    """``encode_image`` and ``encode`` of an `AnswerModel`.

    Args:
        image: (I, 3, H, W) float32, where I is 1 or B.
        question: (B, Q) int64.
        length: (B) int64.
    """
    seen = {name: for_each_question(tensor, question) for name, tensor in model.encode_image(image).items()}
    return dict(model.encode(seen, question, length))


@dataclass(frozen=True)
class Asked:
    """An `AnswerModel` with its questions: a `CaptionModel`, of which picture i is asked question i.

    Attributes:
        model: follows `AnswerModel`.
        question: (N, Q) int64, for at most N pictures.
        length: (N) int64.
    """

    model: Any
    question: Tensor
    length: Tensor

    def encode(self, image: Tensor) -> Tensors:
        """As `CaptionModel.encode`, of (B, 3, H, W) with B at most N."""
        rows = slice(len(image))
        return answer_memory(self.model, image, self.question[rows], self.length[rows])

    def initial_state(self, memory: Tensors) -> Tensors:
        """The model's own."""
        return dict(self.model.initial_state(memory))

    def step(self, tokens: Tensor, state: Tensors, memory: Tensors) -> StepResult:
        """The model's own."""
        result: StepResult = self.model.step(tokens, state, memory)
        return result


def example_questions(spec: QuestionSpec, count: int) -> tuple[Tensor, Tensor]:
    """Questions of different words and lengths: (B, Q) and (B) int64."""
    words = torch.arange(count * spec.max_length).reshape(count, spec.max_length) % spec.size
    lengths = 1 + torch.arange(count) % spec.max_length
    return words, lengths
