"""The RNN decoder: what is constant per image, the state before the first word, and one step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cnnrnn.models.attention import AdditiveAttention, MultiplicativeAttention
from cnnrnn.models.cells import CELLS, GRUCell, LSTMCell
from cnnrnn.models.config import ModelConfig


class Decoder(nn.Module):
    """An LSTM or GRU decoder over image features.

    Tensors keep the beam axis: tokens (B, K), states (B, K, H), memories (B, ...) without K. All that does
    not change from step to step (attention keys, the image's share of the gates, and, without a gate, the
    attended values already projected to the gates) is computed once in :meth:`memory`.
    """

    def __init__(self, config: ModelConfig, features: int, vocabulary: int) -> None:
        super().__init__()
        self.config = config
        hidden, size = config.hidden, config.embedding
        cell = CELLS[config.cell]
        gates = cell.gates * hidden
        self.state_names = cell.state_names
        self.embedding = nn.Embedding(vocabulary, size)
        self.word_gates = nn.Linear(size, gates)
        self.cells = nn.ModuleList(cell(hidden) for _ in range(config.layers))
        self.between = nn.ModuleList(nn.Linear(hidden, gates) for _ in range(config.layers - 1))
        self.dropout = nn.Dropout(config.dropout)

        if config.conditioning == "initial_state":
            self.initial = nn.Linear(features, len(self.state_names) * config.layers * hidden)
        elif config.conditioning == "first_input":
            self.first_input = nn.Linear(features, size)
        else:
            self.image_gates = nn.Linear(features, gates, bias=False)

        if config.attention == "additive":
            self.attention: AdditiveAttention | MultiplicativeAttention = AdditiveAttention(
                features, hidden, config.attention_size
            )
            self.context_gates = nn.Linear(features, gates, bias=False)
            if config.gate:
                self.gate = nn.Linear(hidden, features)
        elif config.attention == "multiplicative":
            self.attention = MultiplicativeAttention(features, hidden)
            self.attend = nn.Linear(features + hidden, hidden)

        width = size if config.tied else hidden
        self.before_output = nn.Linear(hidden, size) if config.tied else nn.Identity()
        self.output = nn.Linear(width, vocabulary)
        if config.tied:
            self.output.weight = self.embedding.weight
        self._initialise()

    def _initialise(self) -> None:
        nn.init.normal_(self.embedding.weight, std=self.config.embedding**-0.5)
        for cell in self.cells:
            assert isinstance(cell, (LSTMCell, GRUCell))
            for weight in cell.recurrent.weight.chunk(cell.gates):
                nn.init.orthogonal_(weight)
        if self.config.cell == "lstm":  # an open forget gate at the start (Jozefowicz et al. 2015)
            with torch.no_grad():
                for layer in (self.word_gates, *self.between):
                    layer.bias[self.config.hidden : 2 * self.config.hidden].fill_(1.0)

    def memory(self, features: Tensor, pooled: Tensor | None = None) -> dict[str, Tensor]:
        """What every step reads and none changes.

        Args:
            features: (B, P, D) positions, or (B, D) pooled.
            pooled: (B, D), what stands for the whole picture; by default the positions' mean.

        Returns:
            ``pooled`` (B, D); with attention ``keys`` (B, P, A) and ``values``, which are (B, P, D) with a
            gate or after Luong, else (B, P, gates); with the image at every step ``image`` (B, gates).
        """
        config = self.config
        if pooled is None:
            pooled = features if features.dim() == 2 else features.mean(dim=1)
        memory = {"pooled": pooled}
        if config.conditioning == "every_step":
            memory["image"] = self.image_gates(pooled)
        if config.attention != "none":
            memory["keys"] = self.attention.keys(features)
            project = config.attention == "additive" and not config.gate
            memory["values"] = self.context_gates(features) if project else features
        return memory

    def initial_state(self, memory: dict[str, Tensor]) -> dict[str, Tensor]:
        """The state before the start token: names ``h0``, ``c0``, ``h1``, ... to (B, H)."""
        config, pooled = self.config, memory["pooled"]
        names = [f"{name}{layer}" for layer in range(config.layers) for name in self.state_names]
        if config.conditioning == "initial_state":
            state = torch.tanh(self.initial(pooled)).chunk(len(names), dim=-1)
            return dict(zip(names, state, strict=True))
        empty = {name: pooled.new_zeros(pooled.shape[0], config.hidden) for name in names}
        if config.conditioning == "every_step":
            return empty
        _, state_after = self._advance(self.word_gates(self.first_input(pooled)), empty)
        return state_after

    def step(
        self, tokens: Tensor, state: dict[str, Tensor], memory: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]] | tuple[Tensor, dict[str, Tensor], Tensor]:
        """One word further.

        Args:
            tokens: (B, K) the words just chosen, int32 or int64.
            state: each (B, K, H).
            memory: of :meth:`memory`, without the beam axis.

        Returns:
            Logits (B, K, V), the next state, and, with attention, the alignment (B, K, P).
        """
        config = self.config
        gates = self.word_gates(self.dropout(self.embedding(tokens)))
        if config.conditioning == "every_step":
            gates = gates + memory["image"].unsqueeze(1)
        if config.attention == "additive":
            last = state[f"h{config.layers - 1}"]
            alignment = self.attention(last, memory["keys"])
            context = alignment @ memory["values"]
            if config.gate:
                context = self.context_gates(torch.sigmoid(self.gate(last)) * context)
            gates = gates + context
        output, state = self._advance(gates, state)
        if config.attention == "multiplicative":
            alignment = self.attention(output, memory["keys"])
            context = alignment @ memory["values"]
            output = torch.tanh(self.attend(torch.cat([context, output], dim=-1)))
        logits = self.output(self.dropout(self.before_output(output)))
        if config.attention == "none":
            return logits, state
        return logits, state, alignment

    def _advance(self, gates: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        following: dict[str, Tensor] = {}
        output = gates
        for layer, cell in enumerate(self.cells):
            inputs = gates if layer == 0 else self.between[layer - 1](self.dropout(output))
            values = cell(inputs, tuple(state[f"{name}{layer}"] for name in self.state_names))
            following.update(
                {f"{name}{layer}": value for name, value in zip(self.state_names, values, strict=True)}
            )
            output = values[0]
        return output, following
