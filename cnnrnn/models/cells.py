"""Recurrent cells as matrix products and activations, so that every runtime fuses them the same way."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LSTMCell(nn.Module):
    """One LSTM step (Hochreiter & Schmidhuber 1997) with :class:`torch.nn.LSTMCell`'s gate order i, f, g, o.

    The input's share of the gates is given by the caller, who may have computed part of it ahead of time.
    """

    gates = 4
    state_names = ("h", "c")

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.recurrent = nn.Linear(hidden, self.gates * hidden, bias=False)

    def forward(self, inputs: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Advances the state.

        Args:
            inputs: (..., 4H) the input's share of the gates, bias included.
            state: hidden and cell state, each (..., H).

        Returns:
            The next hidden and cell state, each (..., H).
        """
        h, c = state
        i, f, g, o = (inputs + self.recurrent(h)).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class GRUCell(nn.Module):
    """One GRU step (Cho et al. 2014) with :class:`torch.nn.GRUCell`'s gate order r, z, n.

    The reset gate is applied after the recurrent product, as cuDNN and torch do.
    """

    gates = 3
    state_names = ("h",)

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.recurrent = nn.Linear(hidden, self.gates * hidden)

    def forward(self, inputs: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Advances the state: inputs (..., 3H) and one state (..., H) give the next (..., H)."""
        (h,) = state
        xr, xz, xn = inputs.chunk(3, dim=-1)
        hr, hz, hn = self.recurrent(h).chunk(3, dim=-1)
        z = torch.sigmoid(xz + hz)
        n = torch.tanh(xn + torch.sigmoid(xr + hr) * hn)
        return (n + z * (h - n),)


CELLS: dict[str, type[LSTMCell] | type[GRUCell]] = {"lstm": LSTMCell, "gru": GRUCell}
