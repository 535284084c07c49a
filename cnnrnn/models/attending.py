"""Decoders of one stack of cells that look at the image before a step, or after it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cnnrnn.models.attention import AdditiveAttention, MultiplicativeAttention
from cnnrnn.models.decoder import Decoder


class AdditiveDecoder(Decoder):
    """Looks before the cell, with the last step's hidden state (Xu et al. 2015, Show, Attend and Tell)."""

    def _add_attention(self, features: int) -> None:
        config = self.config
        self.attention = AdditiveAttention(features, config.hidden, config.attention_size)
        self.context_gates = nn.Linear(features, self.word_gates.out_features, bias=False)
        if config.gate:
            self.gate = nn.Linear(config.hidden, features)

    def _attended(self, features: Tensor) -> dict[str, Tensor]:
        values = features if self.config.gate else self.context_gates(features)
        return {"keys": self.attention.keys(features), "values": values}

    def _read(
        self, gates: Tensor, state: dict[str, Tensor], memory: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor], Tensor | None]:
        last = state[f"h{len(self.cells) - 1}"]
        alignment = self.attention(last, memory["keys"])
        context = alignment @ memory["values"]
        if self.config.gate:
            context = self.context_gates(torch.sigmoid(self.gate(last)) * context)
        output, state, _ = self._advance(gates + context, state)
        return output, state, alignment


class MultiplicativeDecoder(Decoder):
    """Looks after the cell, with its output (Luong et al. 2015)."""

    def _add_attention(self, features: int) -> None:
        hidden = self.config.hidden
        self.attention = MultiplicativeAttention(features, hidden)
        self.attend = nn.Linear(features + hidden, hidden)

    def _attended(self, features: Tensor) -> dict[str, Tensor]:
        return {"keys": self.attention.keys(features), "values": features}

    def _read(
        self, gates: Tensor, state: dict[str, Tensor], memory: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor], Tensor | None]:
        output, state, _ = self._advance(gates, state)
        alignment = self.attention(output, memory["keys"])
        context = alignment @ memory["values"]
        return torch.tanh(self.attend(torch.cat([context, output], dim=-1))), state, alignment
