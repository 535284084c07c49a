"""The decoder that may look at what it remembers in the image's place (Lu et al. 2017, arXiv 1612.01887)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cnnrnn.models.attention import AdditiveAttention
from cnnrnn.models.cells import GRUCell, LSTMCell, SentinelLSTMCell
from cnnrnn.models.decoder import Decoder


class AdaptiveDecoder(Decoder):
    """Looks after the cell, at the P positions and at a visual sentinel made of the top cell's memory.

    With the paper's names: the positions are v = ReLU(W_a a), of size H; z = w_h . tanh(W_v v + W_g h) are
    their scores, and w_h . tanh(W_s s + W_g h) is the sentinel's; the softmax over all P + 1 gives the
    sentinel beta, its last entry, and the context beta s + (1 - beta) sum alpha v (equations 6 to 13).

    The alignment of a step is the softmax's first P entries, (1 - beta) alpha: each row sums to 1 - beta, so
    that beta and the paper's alpha, which sums to 1, can both be had of it, and a coverage penalty counts
    what the image really got.
    """

    def _cell_kinds(self) -> Sequence[type[LSTMCell] | type[GRUCell]]:
        return [LSTMCell] * (self.config.layers - 1) + [SentinelLSTMCell]

    def _add_attention(self, features: int) -> None:
        hidden, size = self.config.hidden, self.config.attention_size
        self.position = nn.Linear(features, hidden)
        self.attention = AdditiveAttention(hidden, hidden, size)
        self.sentinel_key = nn.Linear(hidden, size)

    def _attended(self, features: Tensor) -> dict[str, Tensor]:
        values = torch.relu(self.position(features))
        return {"keys": self.attention.keys(values), "values": values}

    def _read(
        self, gates: Tensor, state: dict[str, Tensor], memory: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor], Tensor | None]:
        output, state, (sentinel,) = self._advance(gates, state)
        query = self.attention.query(output)
        scores = self.attention.scores(query, memory["keys"])
        score = self.attention.score(torch.tanh(self.sentinel_key(sentinel) + query))
        shares = torch.softmax(torch.cat([scores, score], dim=-1), dim=-1)
        alignment, beta = shares[..., :-1], shares[..., -1:]
        return output + alignment @ memory["values"] + beta * sentinel, state, alignment
