"""The recurrent layer over positions against torch's own, with the same weights."""

import pytest
import torch
from torch import nn

from cnnrnn.models.config import ModelConfig
from cnnrnn.models.positions import PositionEncoder, build_position_encoder


@pytest.mark.parametrize(("cell", "kind"), [("lstm", nn.LSTM), ("gru", nn.GRU)])
def test_equals_torchs_bidirectional_layer(cell: str, kind: type[nn.LSTM] | type[nn.GRU]) -> None:
    torch.manual_seed(0)
    encoder = PositionEncoder(cell, features=6, hidden=4)
    oracle = kind(6, 4, bidirectional=True, batch_first=True)
    weights, biases = encoder.gates.weight.chunk(2), encoder.gates.bias.chunk(2)
    for number, (direction, suffix) in enumerate([(encoder.ahead, ""), (encoder.back, "_reverse")]):
        values = {
            "weight_ih": weights[number],
            "bias_ih": biases[number],
            "weight_hh": direction.recurrent.weight,
            "bias_hh": direction.recurrent.bias,
        }
        for name, value in values.items():
            getattr(oracle, f"{name}_l0{suffix}").data = (
                torch.zeros_like(biases[number]) if value is None else value.data
            )
    features = torch.randn(3, 5, 6)
    torch.testing.assert_close(encoder(features), oracle(features)[0])


def test_one_position_is_read_too() -> None:
    assert PositionEncoder("gru", 6, 4)(torch.randn(2, 1, 6)).shape == (2, 1, 8)


def test_without_one_features_are_what_the_encoder_made() -> None:
    module, size = build_position_encoder(ModelConfig(), 6)
    features = torch.randn(2, 3, 6)
    assert size == 6
    assert module(features) is features
    assert build_position_encoder(ModelConfig(position_encoder="lstm", position_hidden=5), 6)[1] == 10
