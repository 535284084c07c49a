"""Our cells against torch's own, with the same weights, and against the equations of their papers."""

import pytest
import torch
from torch import nn

from cnnrnn.models.cells import GRUCell, LSTMCell, SentinelLSTMCell


def test_lstm_equals_torch() -> None:
    torch.manual_seed(0)
    oracle = nn.LSTMCell(5, 7)
    cell = LSTMCell(7)
    cell.recurrent.weight.data = oracle.weight_hh.data
    x, h, c = torch.randn(3, 5), torch.randn(3, 7), torch.randn(3, 7)
    inputs = x @ oracle.weight_ih.T + oracle.bias_ih + oracle.bias_hh
    torch.testing.assert_close(cell(inputs, (h, c)), oracle(x, (h, c)))


def test_gru_equals_torch() -> None:
    torch.manual_seed(0)
    oracle = nn.GRUCell(5, 7)
    cell = GRUCell(7)
    cell.recurrent.weight.data = oracle.weight_hh.data
    cell.recurrent.bias.data = oracle.bias_hh.data
    x, h = torch.randn(3, 5), torch.randn(3, 7)
    inputs = x @ oracle.weight_ih.T + oracle.bias_ih
    torch.testing.assert_close(cell(inputs, (h,))[0], oracle(x, h))


@pytest.mark.parametrize("kind", [LSTMCell, SentinelLSTMCell])
def test_normalised_lstm_follows_ba(kind: type[LSTMCell]) -> None:
    """Equations 20 to 22 of their supplement, each normalisation written out; a sentinel is a fifth gate."""
    torch.manual_seed(0)
    cell = kind(7, layer_norm=True)
    moved(cell)
    inputs, h, c = torch.randn(3, cell.gates * 7), torch.randn(3, 7), torch.randn(3, 7)
    products = normal(cell.norm_input, inputs) + normal(cell.norm_recurrent, h @ cell.recurrent.weight.T)
    i, f, g, o, *more = products.split(7, dim=1)
    memory = f.sigmoid() * c + i.sigmoid() * g.tanh()
    shown = normal(cell.norm_cell, memory).tanh()
    wanted = (o.sigmoid() * shown, memory, *(gate.sigmoid() * shown for gate in more))
    torch.testing.assert_close(cell(inputs, (h, c)), wanted)
    assert len(wanted) == (3 if kind is SentinelLSTMCell else 2)


def test_normalised_gru_follows_ba() -> None:
    torch.manual_seed(0)
    cell = GRUCell(7, layer_norm=True)
    moved(cell)
    inputs, h = torch.randn(3, 21), torch.randn(3, 7)
    products = h @ cell.recurrent.weight.T
    gates = normal(cell.norm_input, inputs[:, :14]) + normal(cell.norm_recurrent, products[:, :14])
    r, z = gates.sigmoid().split(7, dim=1)
    kept = normal(cell.norm_recurrent_new, products[:, 14:])
    n = (normal(cell.norm_input_new, inputs[:, 14:]) + r * kept).tanh()
    torch.testing.assert_close(cell(inputs, (h,))[0], (1 - z) * n + z * h)


def test_sentinel_is_shown_beside_an_lstm() -> None:
    torch.manual_seed(0)
    oracle, cell = nn.LSTMCell(5, 7), SentinelLSTMCell(7)
    cell.recurrent.weight.data[:28] = oracle.weight_hh.data
    x, h, c = torch.randn(3, 5), torch.randn(3, 7), torch.randn(3, 7)
    gate = torch.randn(3, 7)
    inputs = torch.cat([x @ oracle.weight_ih.T + oracle.bias_ih + oracle.bias_hh, gate], dim=1)
    shown, memory, sentinel = cell(inputs, (h, c))
    torch.testing.assert_close((shown, memory), oracle(x, (h, c)))
    wanted = (gate + h @ cell.recurrent.weight[28:].T).sigmoid() * memory.tanh()
    torch.testing.assert_close(sentinel, wanted)


@pytest.mark.parametrize("layer_norm", [False, True])
def test_cells_start_orthogonal_and_with_an_open_forget_gate(layer_norm: bool) -> None:
    cell = LSTMCell(7, layer_norm=layer_norm)
    cell.initialise()
    for weight in cell.recurrent.weight.chunk(4):
        torch.testing.assert_close(weight @ weight.T, torch.eye(7))
    if layer_norm:
        assert isinstance(cell.norm_input, nn.LayerNorm)
        assert cell.norm_input.bias.tolist() == [0.0] * 7 + [1.0] * 7 + [0.0] * 14


def moved(cell: nn.Module) -> None:
    """Gives every parameter another value than it starts with."""
    for parameter in cell.parameters():
        nn.init.normal_(parameter)


def normal(norm: nn.Module, values: torch.Tensor) -> torch.Tensor:
    """Layer normalisation by its formula."""
    assert isinstance(norm, nn.LayerNorm)
    centred = values - values.mean(dim=1, keepdim=True)
    deviation = (centred.square().mean(dim=1, keepdim=True) + norm.eps).sqrt()
    return centred / deviation * norm.weight + norm.bias
