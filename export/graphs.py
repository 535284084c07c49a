"""The two torch modules that are exported: the model's methods with what belongs around them.

Letters: B images, K beams, V words, P positions. Every integer that enters is int32.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cnnrnn.core.manifest import ImageSpec
from cnnrnn.export.asking import answer_memory
from cnnrnn.export.protocol import Tensors
from cnnrnn.export.signature import Signature, split_step
from cnnrnn.export.weights import held_modules


@torch.library.custom_op("cnnrnn::gather_beams", mutates_args=())
def gather_beams(state: Tensor, parents: Tensor) -> Tensor:
    """Reorder beams: row (b, k) of the result is row (b, parents[b, k]) of ``state``.

    An operator of its own, so that the graph gets one GatherND over whole rows where `torch.gather` would
    give an index for every element.

    Args:
        state: (B, K, ...) of any dtype.
        parents: (B, K) int32, each from 0 to K - 1.
    """
    images = torch.arange(state.shape[0], device=state.device).unsqueeze(1)
    return state[images, parents.long()]


@gather_beams.register_fake
def _(state: Tensor, parents: Tensor) -> Tensor:
    return torch.empty_like(state)


class EncoderGraph(nn.Module):
    """``image`` (B, H, W, 3) uint8 RGB to the memory and then the initial state, each (B, ...); with
    ``question`` (B, Q) and ``question_length`` (B) int32, ``image`` may also be one for all questions."""

    def __init__(self, model: Any, signature: Signature) -> None:
        super().__init__()
        self.model = model
        self.held = _hold(model)
        self.memory_names = tuple(signature.memory)
        scale, shift = normalisation(signature.image)
        self.scale = nn.Buffer(scale)
        self.shift = nn.Buffer(shift)

    def forward(self, image: Tensor, *asked: Tensor) -> tuple[Tensor, ...]:
        pixels = image.to(torch.float32) * self.scale + self.shift
        picture = pixels.permute(0, 3, 1, 2).contiguous()
        if asked:
            memory = answer_memory(self.model, picture, *(tensor.long() for tensor in asked))
        else:
            memory = self.model.encode(picture)
        state: Tensors = self.model.initial_state(dict(memory))
        return (*(memory[name] for name in self.memory_names), *state.values())


class StepGraph(nn.Module):
    """One decoding step: logits, the next states and, where the model gives it, the alignment.

    Takes ``tokens`` and ``parents`` (B, K) int32, the states (B, K, ...), the memory (B, ...).
    """

    def __init__(self, model: Any, signature: Signature) -> None:
        super().__init__()
        self.model = model
        self.held = _hold(model)
        self.state_names = tuple(signature.state)
        self.memory_names = tuple(signature.memory)

    def forward(self, tokens: Tensor, parents: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        states = tensors[: len(self.state_names)]
        memory = dict(zip(self.memory_names, tensors[len(self.state_names) :], strict=True))
        state = {
            name: gather_beams(tensor, parents) for name, tensor in zip(self.state_names, states, strict=True)
        }
        logits, following, alignment = split_step(self.model.step(tokens.long(), state, memory))
        last = () if alignment is None else (alignment,)
        return (logits, *(following[name] for name in self.state_names), *last)


def normalisation(image: ImageSpec) -> tuple[Tensor, Tensor]:
    """``scale`` and ``shift`` (3,) float32: ``pixel * scale + shift`` is ``(pixel / 255 - mean) / std``."""
    mean = torch.tensor(image.mean, dtype=torch.float64)
    std = torch.tensor(image.std, dtype=torch.float64)
    return (1 / (255 * std)).float(), (-mean / std).float()


def _hold(model: Any) -> nn.ModuleDict:
    """Modules of a plain object, registered so that the exporter finds their weights."""
    return nn.ModuleDict({} if isinstance(model, nn.Module) else dict(held_modules(model)))
