"""Recurrent layers as matrix products and activations, over copies of the weights of torch's own layers.

Cells written so compile everywhere: the exporter writes ``nn.GRU`` without ``linear_before_reset``, and
TensorRT fuses products better than its own recurrent layer. The equations are those of torch's documentation
of ``nn.LSTM`` and ``nn.GRU``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from cnnrnn.core.errors import ModelError

Recurrent: TypeAlias = "nn.LSTM | nn.GRU | nn.LSTMCell | nn.GRUCell | Sequence[nn.LSTMCell | nn.GRUCell]"


@dataclass(frozen=True)
class LayerWeights:
    """One layer's tensors as torch lays them out: gates i, f, g, o of an LSTM, r, z, n of a GRU."""

    is_lstm: bool
    w_input: Tensor
    w_hidden: Tensor
    b_input: Tensor
    b_hidden: Tensor


class RecurrentLayer(nn.Module):
    """One LSTM or GRU layer for one word, as matrix products and activations over (B, K, ...) tensors.

    Args:
        weights: copied.
        behind: how many of the input's last columns are the picture's features.
    """

    def __init__(self, weights: LayerWeights, behind: int) -> None:
        super().__init__()
        self.is_lstm = weights.is_lstm
        self.hidden = int(weights.w_hidden.shape[1])
        self.behind = behind
        size = weights.w_input.shape[1] - behind
        word, picture = weights.w_input[:, :size], weights.w_input[:, size:]
        self.from_picture = _linear(picture, None) if behind else None
        if self.is_lstm:
            self.gates = _linear(torch.cat((word, weights.w_hidden), 1), weights.b_input + weights.b_hidden)
        else:
            self.from_input = _linear(word, weights.b_input)
            self.from_hidden = _linear(weights.w_hidden, weights.b_hidden)

    def forward(
        self, entering: Tensor, hidden: Tensor, cell: Tensor | None, picture: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        if self.is_lstm:
            assert cell is not None
            return self._lstm(self.gates(torch.cat((entering, hidden), -1)), cell, picture)
        products = self.from_input(entering)
        if picture is not None:
            products = products + picture
        reset_x, update_x, new_x = products.chunk(3, -1)
        reset_h, update_h, new_h = self.from_hidden(hidden).chunk(3, -1)
        update = torch.sigmoid(update_x + update_h)
        new = torch.tanh(new_x + torch.sigmoid(reset_x + reset_h) * new_h)
        return new + update * (hidden - new), None

    @staticmethod
    def _lstm(products: Tensor, cell: Tensor, picture: Tensor | None) -> tuple[Tensor, Tensor]:
        if picture is not None:
            products = products + picture
        admit, forget, new, show = products.chunk(4, -1)
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(admit) * torch.tanh(new)
        return torch.sigmoid(show) * torch.tanh(cell), cell


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    with torch.no_grad():
        linear.weight.copy_(weight)
        if bias is not None:
            linear.bias.copy_(bias)
    return linear


def layer_weights(rnn: Any) -> list[LayerWeights]:
    """The tensors of each layer, zeros where it has no bias."""
    if isinstance(rnn, (nn.LSTM, nn.GRU)):
        _refuse_variants(rnn)
        is_lstm = isinstance(rnn, nn.LSTM)
        return [_weights(rnn, is_lstm, f"_l{number}", rnn.bias) for number in range(rnn.num_layers)]
    cells = list(rnn) if isinstance(rnn, (list, tuple, nn.ModuleList)) else [rnn]
    for cell in cells:
        if not isinstance(cell, (nn.LSTMCell, nn.GRUCell)):
            raise ModelError(
                f"rnn is or holds a {type(cell).__name__}; wrap_rnn takes nn.LSTM, nn.GRU, nn.LSTMCell and "
                "nn.GRUCell. For another cell write the three methods of cnnrnn.export.CaptionModel"
            )
    if not cells:
        raise ModelError("rnn is an empty list; give at least one cell")
    kinds = {type(cell).__name__ for cell in cells}
    widths = {cell.hidden_size for cell in cells}
    if len(kinds) > 1 or len(widths) > 1:
        raise ModelError(
            f"the cells are {sorted(kinds)} of hidden sizes {sorted(widths)}; wrap_rnn takes one kind and "
            "one size"
        )
    return [_weights(cell, isinstance(cell, nn.LSTMCell), "", cell.bias) for cell in cells]


def _refuse_variants(rnn: nn.LSTM | nn.GRU) -> None:
    if rnn.bidirectional:
        raise ModelError(
            "rnn is bidirectional: it reads the caption's end before it is written, so it cannot write one; "
            "train with bidirectional=False"
        )
    if rnn.proj_size:
        raise ModelError(
            f"rnn has proj_size={rnn.proj_size}, which wrap_rnn does not rewrite; train with proj_size=0, or "
            "write the three methods of cnnrnn.export.CaptionModel"
        )


def _weights(cell: nn.Module, is_lstm: bool, suffix: str, bias: bool) -> LayerWeights:
    w_input, w_hidden = (getattr(cell, f"weight_{side}{suffix}").detach() for side in ("ih", "hh"))
    if not bias:
        none = w_input.new_zeros(w_input.shape[0])
        return LayerWeights(is_lstm, w_input, w_hidden, none, none)
    b_input, b_hidden = (getattr(cell, f"bias_{side}{suffix}").detach() for side in ("ih", "hh"))
    return LayerWeights(is_lstm, w_input, w_hidden, b_input, b_hidden)
