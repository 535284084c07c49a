"""Attention over an image's positions, broadcast over beams so that no feature is copied per beam."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class AdditiveAttention(nn.Module):
    """score(h, m) = v . tanh(W_k m + W_q h + b) (Bahdanau et al. 2015, equation 6)."""

    def __init__(self, features: int, hidden: int, size: int) -> None:
        super().__init__()
        self.key = nn.Linear(features, size)
        self.query = nn.Linear(hidden, size, bias=False)
        self.score = nn.Linear(size, 1, bias=False)

    def keys(self, features: Tensor) -> Tensor:
        """(B, P, D) features to the (B, P, A) keys, which stay the same at every step."""
        return self.key(features)

    def forward(self, hidden: Tensor, keys: Tensor) -> Tensor:
        """(B, K, H) hidden states and (B, P, A) keys to the (B, K, P) alignment, each row summing to 1."""
        return torch.softmax(self.scores(self.query(hidden), keys), dim=-1)

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """(B, K, A) queries, W_q h, and (B, P, A) keys to the (B, K, P) scores before the softmax."""
        energy = torch.tanh(keys.unsqueeze(1) + query.unsqueeze(2))
        scores: Tensor = self.score(energy).squeeze(-1)
        return scores


class MultiplicativeAttention(nn.Module):
    """score(h, m) = h . W m (Luong et al. 2015, 'general')."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.key = nn.Linear(features, hidden, bias=False)

    def keys(self, features: Tensor) -> Tensor:
        """(B, P, D) features to the (B, P, H) keys, which stay the same at every step."""
        return self.key(features)

    def forward(self, hidden: Tensor, keys: Tensor) -> Tensor:
        """(B, K, H) hidden states and (B, P, H) keys to the (B, K, P) alignment, each row summing to 1."""
        return torch.softmax(hidden @ keys.transpose(1, 2), dim=-1)
