"""An exponential moving average of a model's weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from cnnrnn.models import Model


class AveragedModel:
    """average = d average + (1 - d) weights after each step, d growing to ``decay`` while there are few.

    d is min(decay, (1 + n) / (10 + n)) at step n, so that the average forgets the random weights of the
    beginning; running statistics of normalisations are averaged too, and integers are copied.

    Args:
        model: averaged from its present weights on.
        decay: from 0 to below 1.

    Attributes:
        model: the averaged one, in eval mode.
    """

    def __init__(self, model: Model, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Takes in the weights after a step, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averages, values = _tensors(self.model), _tensors(model)
        floats = [value.is_floating_point() for value in values]
        torch._foreach_lerp_(_where(averages, floats), _where(values, floats), 1 - decay)
        for average, value, is_float in zip(averages, values, floats, strict=True):
            if not is_float:
                average.copy_(value)


def _tensors(model: nn.Module) -> list[Tensor]:
    """Parameters and buffers, each once, whatever modules share it."""
    return [*model.parameters(), *model.buffers()]


def _where(tensors: list[Tensor], chosen: list[bool]) -> list[Tensor]:
    return [tensor for tensor, is_chosen in zip(tensors, chosen, strict=True) if is_chosen]
