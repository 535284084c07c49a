"""The RNN decoder: what is constant per image, the state before the first word, and one step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cnnrnn.models.cells import CELLS, GRUCell, LSTMCell
from cnnrnn.models.config import ModelConfig


class Decoder(nn.Module):
    """An LSTM or GRU decoder over image features, without attention; those that attend are built on it.

    Tensors keep the beam axis: tokens (B, K), states (B, K, H), memories (B, ...) without K. All that does
    not change from step to step (attention keys, the image's share of the gates, and, where they enter the
    gates alone, the attended values already projected to these) is computed once in :meth:`memory`.

    A decoder with another attention says in three methods what it adds: its layers (:meth:`_add_attention`),
    what of them is constant (:meth:`_attended`) and what a step does between words (:meth:`_read`).

    Attributes:
        sees_image: whether the image's mean feature is an input of every step, whatever ``conditioning`` is.
    """

    sees_image = False

    def __init__(self, config: ModelConfig, features: int, vocabulary: int) -> None:
        super().__init__()
        self.config = config
        hidden, size = config.hidden, config.embedding
        kinds = self._cell_kinds()
        gates = [kind.gates * hidden for kind in kinds]
        bias = not config.layer_norm  # normalised cells have their own
        self.state_names = kinds[0].state_names
        self.embedding = nn.Embedding(vocabulary, size)
        self.word_gates = nn.Linear(size, gates[0], bias=bias)
        self.cells = nn.ModuleList(kind(hidden, layer_norm=config.layer_norm) for kind in kinds)
        self.between = nn.ModuleList(nn.Linear(hidden, count, bias=bias) for count in gates[1:])
        self.dropout = nn.Dropout(config.dropout)

        if config.conditioning == "initial_state":
            self.initial = nn.Linear(features, len(self.state_names) * len(kinds) * hidden)
        elif config.conditioning == "first_input":
            self.first_input = nn.Linear(features, size)
        self.sees_image = self.sees_image or config.conditioning == "every_step"
        if self.sees_image:
            self.image_gates = nn.Linear(features, gates[0], bias=False)

        self._add_attention(features)

        width = size if config.tied else hidden
        self.before_output = nn.Linear(hidden, size) if config.tied else nn.Identity()
        self.output = nn.Linear(width, vocabulary)
        if config.tied:
            self.output.weight = self.embedding.weight
        self._initialise()

    def _cell_kinds(self) -> Sequence[type[LSTMCell] | type[GRUCell]]:
        """The cells from the word upwards."""
        return [CELLS[self.config.cell]] * self.config.layers

    def _add_attention(self, features: int) -> None:
        """Adds the attention's layers for features of size D."""

    def _attended(self, features: Tensor) -> dict[str, Tensor]:
        """What the attention has to remember of (B, P, D) features, by name."""
        return {}

    def _initialise(self) -> None:
        nn.init.normal_(self.embedding.weight, std=self.config.embedding**-0.5)
        for cell, entering in zip(self.cells, (self.word_gates, *self.between), strict=True):
            assert isinstance(cell, (LSTMCell, GRUCell))
            cell.initialise()
            if isinstance(cell, LSTMCell) and entering.bias is not None:
                assert isinstance(entering.bias, Tensor)
                cell.open_forget_gate(entering.bias)

    def memory(self, features: Tensor, pooled: Tensor | None = None) -> dict[str, Tensor]:
        """What every step reads and none changes.

        Args:
            features: (B, P, D) positions, or (B, D) pooled.
            pooled: (B, D), what stands for the whole picture; by default the positions' mean.

        Returns:
            ``pooled`` (B, D); where the image is an input of every step ``image`` (B, gates); with attention
            ``keys`` (B, P, ...) and ``values``, which are (B, P, D), (B, P, H) of adaptive attention, or,
            where they enter the gates alone, (B, P, gates).
        """
        if pooled is None:
            pooled = features if features.dim() == 2 else features.mean(dim=1)
        memory = {"pooled": pooled}
        if self.sees_image:
            memory["image"] = self.image_gates(pooled)
        return memory | self._attended(features)

    def initial_state(self, memory: dict[str, Tensor]) -> dict[str, Tensor]:
        """The state before the start token: names ``h0``, ``c0``, ``h1``, ... to (B, H)."""
        config, pooled = self.config, memory["pooled"]
        names = [f"{name}{layer}" for layer in range(len(self.cells)) for name in self.state_names]
        if config.conditioning == "initial_state":
            state = torch.tanh(self.initial(pooled)).chunk(len(names), dim=-1)
            return dict(zip(names, state, strict=True))
        empty = {name: pooled.new_zeros(pooled.shape[0], config.hidden) for name in names}
        if config.conditioning == "every_step":
            return empty
        _, state_after, _ = self._advance(self.word_gates(self.first_input(pooled)), empty)
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
        gates = self.word_gates(self.dropout(self.embedding(tokens)))
        if self.sees_image:
            gates = gates + memory["image"].unsqueeze(1)
        output, state, alignment = self._read(gates, state, memory)
        logits = self.output(self.dropout(self.before_output(output)))
        if alignment is None:
            return logits, state
        return logits, state, alignment

    def _read(
        self, gates: Tensor, state: dict[str, Tensor], memory: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor], Tensor | None]:
        """From the first cell's (B, K, gates) to the output (B, K, H), the next state and the alignment."""
        output, state, _ = self._advance(gates, state)
        return output, state, None

    def _advance(
        self, gates: Tensor, state: dict[str, Tensor], first: int = 0
    ) -> tuple[Tensor, dict[str, Tensor], tuple[Tensor, ...]]:
        """Advances the cells from ``first`` upwards.

        With ``residual`` each but the lowest of them adds its input to what it gives the next one (Wu et al.
        2016, equation 5); its state stays the cell's own.

        Returns:
            The output (..., H), the next state, and what the top cell gives beside its state.
        """
        following: dict[str, Tensor] = {}
        output, more = gates, ()
        for layer in range(first, len(self.cells)):
            inputs = gates if layer == first else self.between[layer - 1](self.dropout(output))
            values = self.cells[layer](inputs, tuple(state[f"{name}{layer}"] for name in self.state_names))
            states = zip(self.state_names, values, strict=False)  # a sentinel is no state
            following.update({f"{name}{layer}": value for name, value in states})
            more = values[len(self.state_names) :]
            output = values[0] + output if self.config.residual and layer > first else values[0]
        return output, following, more
