"""Recurrent cells as matrix products and activations, so that every runtime fuses them the same way.

With ``layer_norm`` they are those of Ba et al. 2016 (arXiv 1607.06450, supplement): the input's and the
state's products are normalised each by itself before they are added, and so is an LSTM's cell state where it
is shown.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class _Cell(nn.Module):
    """What the cells share.

    The input's share of the gates is given by the caller, who may have computed part of it ahead of time.

    Args:
        hidden: H, the size of a hidden state.
        layer_norm: normalise the products. The layer that makes the input's share needs no bias then.
    """

    gates: int
    state_names: tuple[str, ...]

    def __init__(self, hidden: int, *, bias: bool, layer_norm: bool) -> None:
        super().__init__()
        self.hidden = hidden
        self.layer_norm = layer_norm
        self.recurrent = nn.Linear(hidden, self.gates * hidden, bias=bias and not layer_norm)

    def initialise(self) -> None:
        """Makes the recurrent matrices orthogonal (Saxe et al. 2014): states neither grow nor shrink."""
        for weight in self.recurrent.weight.chunk(self.gates):
            nn.init.orthogonal_(weight)

    def _norm(self, parts: int) -> nn.Module:
        return nn.LayerNorm(parts * self.hidden) if self.layer_norm else nn.Identity()


class LSTMCell(_Cell):
    """One LSTM step (Hochreiter & Schmidhuber 1997) in :class:`torch.nn.LSTMCell`'s gate order i, f, g, o."""

    gates = 4
    state_names = ("h", "c")

    def __init__(self, hidden: int, *, layer_norm: bool = False) -> None:
        super().__init__(hidden, bias=False, layer_norm=layer_norm)
        self.norm_input = self._norm(self.gates)
        self.norm_recurrent = self._norm(self.gates)
        self.norm_cell = self._norm(1)

    def initialise(self) -> None:
        """Likewise; a normalised cell has the bias that opens its forget gate (:meth:`open_forget_gate`)."""
        super().initialise()
        if isinstance(self.norm_input, nn.LayerNorm):
            self.open_forget_gate(self.norm_input.bias)

    @torch.no_grad()
    def open_forget_gate(self, bias: Tensor) -> None:
        """Sets the forget gate's part of a bias (4H or more) to 1 (Jozefowicz et al. 2015)."""
        bias[self.hidden : 2 * self.hidden].fill_(1.0)

    def forward(self, inputs: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Advances the state.

        Args:
            inputs: (..., 4H) the input's share of the gates, bias included.
            state: hidden and cell state, each (..., H).

        Returns:
            The next hidden and cell state, each (..., H).
        """
        h, c = state
        products = self.norm_input(inputs) + self.norm_recurrent(self.recurrent(h))
        i, f, g, o, *more = products.chunk(self.gates, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        shown = torch.tanh(self.norm_cell(c))
        return (torch.sigmoid(o) * shown, c, *(torch.sigmoid(gate) * shown for gate in more))


class SentinelLSTMCell(LSTMCell):
    """An LSTM step whose fifth gate shows a visual sentinel (Lu et al. 2017, equations 9 and 10).

    ``sigmoid(W_x x + W_h h) * tanh(c)``, from the same input and states as the other gates. :meth:`forward`
    takes (..., 5H) inputs and gives the next hidden and cell state and the sentinel, each (..., H).
    """

    gates = 5


class GRUCell(_Cell):
    """One GRU step (Cho et al. 2014) with :class:`torch.nn.GRUCell`'s gate order r, z, n.

    The reset gate is applied after the recurrent product, as cuDNN and torch do, and Ba et al. with
    ``layer_norm``; these normalise the two gates together and the new state by itself.
    """

    gates = 3
    state_names = ("h",)

    def __init__(self, hidden: int, *, layer_norm: bool = False) -> None:
        super().__init__(hidden, bias=True, layer_norm=layer_norm)
        self.norm_input, self.norm_input_new = self._norm(2), self._norm(1)
        self.norm_recurrent, self.norm_recurrent_new = self._norm(2), self._norm(1)

    def forward(self, inputs: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Advances the state: inputs (..., 3H) and one state (..., H) give the next (..., H)."""
        (h,) = state
        if self.layer_norm:
            xr, xz, xn = self._normalised(inputs, self.norm_input, self.norm_input_new)
            hr, hz, hn = self._normalised(self.recurrent(h), self.norm_recurrent, self.norm_recurrent_new)
        else:
            xr, xz, xn = inputs.chunk(3, dim=-1)
            hr, hz, hn = self.recurrent(h).chunk(3, dim=-1)
        z = torch.sigmoid(xz + hz)
        n = torch.tanh(xn + torch.sigmoid(xr + hr) * hn)
        return (n + z * (h - n),)

    def _normalised(self, products: Tensor, of_gates: nn.Module, of_new: nn.Module) -> tuple[Tensor, ...]:
        gates, new = torch.split(products, [2 * self.hidden, self.hidden], dim=-1)
        return (*of_gates(gates).chunk(2, dim=-1), of_new(new))


CELLS: dict[str, type[LSTMCell] | type[GRUCell]] = {"lstm": LSTMCell, "gru": GRUCell}
