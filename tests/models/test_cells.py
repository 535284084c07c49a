"""Our cells against torch's own, with the same weights."""

import torch
from torch import nn

from cnnrnn.models.cells import GRUCell, LSTMCell


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
