"""A recurrent layer over an image's positions, in both directions, as readers of text in pictures have it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from cnnrnn.models.cells import CELLS, LSTMCell
from cnnrnn.models.config import ModelConfig


class PositionEncoder(nn.Module):
    """A bidirectional LSTM or GRU (Schuster & Paliwal 1997) over P positions in row order; with
    ``features = "columns"`` the encoder of CRNN (Shi et al. 2016, arXiv 1507.05717).

    It is unrolled: P is the picture's, so that an exported graph holds 2P steps of the decoder's cells, and
    none of the recurrent operators that engines run in float32 or not at all.

    Args:
        cell: ``"lstm"`` or ``"gru"``.
        features: D, the size of a feature.
        hidden: the size of each direction's hidden state.
    """

    def __init__(self, cell: str, features: int, hidden: int) -> None:
        super().__init__()
        kind = CELLS[cell]
        self.hidden = hidden
        self.states = len(kind.state_names)
        self.gates = nn.Linear(features, 2 * kind.gates * hidden)
        self.ahead, self.back = kind(hidden), kind(hidden)
        for direction, bias in zip((self.ahead, self.back), self.gates.bias.chunk(2), strict=True):
            direction.initialise()
            if isinstance(direction, LSTMCell):
                direction.open_forget_gate(bias)

    def forward(self, features: Tensor) -> Tensor:
        """(B, P, D) float32 to (B, P, 2 hidden): of each position what is before it, and what is after it."""
        ahead, back = self.gates(features).chunk(2, dim=-1)
        before = self._run(self.ahead, ahead.unbind(1))
        after = self._run(self.back, reversed(back.unbind(1)))
        return torch.cat([torch.stack(before, dim=1), torch.stack(after[::-1], dim=1)], dim=-1)

    def _run(self, cell: nn.Module, gates: Iterable[Tensor]) -> list[Tensor]:
        outputs: list[Tensor] = []
        state: tuple[Tensor, ...] = ()
        for entering in gates:
            if not state:
                state = (entering.new_zeros(entering.shape[0], self.hidden),) * self.states
            state = cell(entering, state)
            outputs.append(state[0])
        return outputs


def build_position_encoder(config: ModelConfig, features: int) -> tuple[nn.Module, int]:
    """What stands between encoder and decoder, and the size of the features that it gives.

    Args:
        config: ``position_encoder`` and ``position_hidden`` are read.
        features: D of the encoder.
    """
    if config.position_encoder == "none":
        return nn.Identity(), features
    return PositionEncoder(
        config.position_encoder, features, config.position_hidden
    ), 2 * config.position_hidden
