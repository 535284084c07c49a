"""What a model's tensors are called and shaped: found by running it once, in order, on a picture of noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cnnrnn.core.errors import ModelError
from cnnrnn.core.manifest import Dimension, ImageSpec, QuestionSpec, TensorSpec
from cnnrnn.export.asking import Asked, example_questions
from cnnrnn.export.protocol import StepResult, Tensors

TRACE_IMAGES = 2
TRACE_BEAMS = 3
ALIGNMENT = "alignment"

_DTYPES = {torch.float32: "float32", torch.int32: "int32"}


@dataclass(frozen=True)
class Signature:
    """The names and shapes of a model's tensors, and one example of each.

    Attributes:
        image: what the encoder takes, after preprocessing.
        question: how questions are read, where the model is asked any.
        memory: name to an example of ``encode``'s tensor, (B, ...).
        state: name to an example of ``initial_state``'s tensor, (B, ...).
        vocabulary: V, the last dimension of the logits.
        positions: P, the last dimension of the alignment; None where ``step`` returns none.
    """

    image: ImageSpec
    memory: Tensors
    state: Tensors
    vocabulary: int
    positions: int | None
    question: QuestionSpec | None = None

    def encoder_inputs(self) -> tuple[TensorSpec, ...]:
        """``image`` (B, H, W, 3) uint8, RGB; or, with ``question`` (B, Q) and ``question_length`` (B) int32,
        ``image`` (I, H, W, 3), where I is B, or 1 for B questions about one picture."""
        size = (self.image.height, self.image.width, 3)
        if self.question is None:
            return (TensorSpec("image", "uint8", ("B", *size)),)
        return (
            TensorSpec("image", "uint8", ("I", *size)),
            TensorSpec("question", "int32", ("B", self.question.max_length)),
            TensorSpec("question_length", "int32", ("B",)),
        )

    def encoder_outputs(self) -> tuple[TensorSpec, ...]:
        """The memory, then the state, each (B, ...)."""
        memory = [_spec(f"memory_{name}", tensor, ("B",), 1) for name, tensor in self.memory.items()]
        return (*memory, *(_spec(f"state_{name}", tensor, ("B",), 1) for name, tensor in self.state.items()))

    def step_inputs(self) -> tuple[TensorSpec, ...]:
        """``tokens`` and ``parents`` (B, K) int32, then the state (B, K, ...), then the memory (B, ...)."""
        tokens = [TensorSpec(name, "int32", ("B", "K")) for name in ("tokens", "parents")]
        state = [_spec(f"state_{name}", tensor, ("B", "K"), 1) for name, tensor in self.state.items()]
        memory = [_spec(f"memory_{name}", tensor, ("B",), 1) for name, tensor in self.memory.items()]
        return (*tokens, *state, *memory)

    def step_outputs(self) -> tuple[TensorSpec, ...]:
        """``logits`` (B, K, V), the next state (B, K, ...), and ``alignment`` (B, K, P) if there is one."""
        logits = TensorSpec("logits", "float32", ("B", "K", self.vocabulary))
        state = [_spec(f"next_state_{name}", tensor, ("B", "K"), 1) for name, tensor in self.state.items()]
        last = (
            [] if self.positions is None else [TensorSpec(ALIGNMENT, "float32", ("B", "K", self.positions))]
        )
        return (logits, *state, *last)

    def with_memory(self, names: frozenset[str]) -> Signature:
        """The same without the memory that no step uses."""
        kept = {name: tensor for name, tensor in self.memory.items() if name in names}
        return replace(self, memory=kept)


def trace_signature(model: Any, image: ImageSpec, question: QuestionSpec | None = None) -> Signature:
    """Run the model once on two pictures of noise, with three beams.

    Args:
        question: how questions are read, of a model that follows `AnswerModel`.

    Raises:
        ModelError: a tensor's dtype is neither float32 nor int32. Everything else is `check_model`'s to find.
    """
    with torch.no_grad():
        noise = torch.randn(
            TRACE_IMAGES, 3, image.height, image.width, generator=torch.Generator().manual_seed(0)
        )
        if question is not None:
            model = Asked(model, *example_questions(question, TRACE_IMAGES))
        memory = dict(model.encode(noise))
        state = dict(model.initial_state(dict(memory)))
        tokens = torch.zeros(TRACE_IMAGES, TRACE_BEAMS, dtype=torch.int64)
        logits, _, alignment = split_step(model.step(tokens, repeat_beams(state, TRACE_BEAMS), dict(memory)))
    positions = None if alignment is None else alignment.shape[-1]
    return Signature(image, memory, state, logits.shape[-1], positions, question)


def split_step(result: StepResult) -> tuple[Tensor, Tensors, Tensor | None]:
    """``step``'s two or three results as three."""
    if len(result) == 3:
        return result[0], result[1], result[2]
    return result[0], result[1], None


def repeat_beams(state: Tensors, beams: int) -> Tensors:
    """State (B, ...) to (B, K, ...), each beam its own copy."""
    return {name: tensor.unsqueeze(1).repeat_interleave(beams, 1) for name, tensor in state.items()}


def _spec(name: str, tensor: Tensor, leading: tuple[Dimension, ...], skip: int) -> TensorSpec:
    if tensor.dtype not in _DTYPES:
        raise ModelError(f"{name} is {tensor.dtype}; state and memory are float32 or int32, so convert it")
    return TensorSpec(name, _DTYPES[tensor.dtype], (*leading, *tensor.shape[skip:]))
