"""What the attending captioners of ImageCaptioning.pytorch share: an embedded grid, additive attention."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from cnnrnn.export.imports.fitting import Fitted
from cnnrnn.export.imports.linear import linear

_EPSILON = 1e-5  # nn.BatchNorm1d's, which the program leaves as it is


class GridAttention(nn.Module):
    """score(h, m) = w . tanh(W_k m + W_q h + b) (Bahdanau et al. 2015).

    W_k is ``ctx2att``, W_q ``h2att``, w ``alpha_net``.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.keys = linear(weights, "ctx2att")
        self.query = linear(weights, "core.attention.h2att")
        self.score = linear(weights, "core.attention.alpha_net")

    def forward(self, hidden: Tensor, keys: Tensor) -> Tensor:
        """(B, K, H) and (B, P, A) to the alignment (B, K, P)."""
        energy = torch.tanh(keys.unsqueeze(1) + self.query(hidden).unsqueeze(2))
        return torch.softmax(self.score(energy).squeeze(-1), -1)


def embedded_grid(fitted: Fitted) -> nn.Module:
    """``att_embed``: (B, P, D) to (B, P, H), with the batch normalisation that ``use_bn`` put around it."""
    weights = fitted.tensors
    first = 1 if "att_embed.0.running_mean" in weights else 0
    layers: list[nn.Module] = [linear(weights, f"att_embed.{first}"), nn.ReLU()]
    if first:
        layers.insert(0, _Normalised(fitted.under("att_embed.0.")))
    if "att_embed.4.running_mean" in weights:
        layers.append(_Normalised(fitted.under("att_embed.4.")))
    return nn.Sequential(*layers)


class _Normalised(nn.Module):
    """Batch normalisation by its running statistics, of the last dimension (Ioffe & Szegedy 2015)."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        scale = weights["weight"] / torch.sqrt(weights["running_var"] + _EPSILON)
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", scale)
        self.register_buffer("shift", weights["bias"] - weights["running_mean"] * scale)

    def forward(self, features: Tensor) -> Tensor:
        return features * self.scale + self.shift
