"""Layers made of the tensors that a checkpoint has for them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn


def linear(weights: Mapping[str, Tensor], name: str) -> nn.Linear:
    """The layer of ``NAME.weight`` and, where there is one, ``NAME.bias``."""
    weight, bias = weights[f"{name}.weight"], weights.get(f"{name}.bias")
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight)
    if bias is not None:
        layer.bias = nn.Parameter(bias)
    return layer.requires_grad_(False)
