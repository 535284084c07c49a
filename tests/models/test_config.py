"""Every combination of options is built, or refused with a sentence before any work."""

import pytest

from cnnrnn.core.errors import ConfigError
from cnnrnn.models.config import ModelConfig


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cell": "rnn"}, "cell = 'rnn' must be one of lstm, gru"),
        ({"layers": 0}, "layers = 0 must be a whole number from 1 to 16"),
        ({"hidden": 1.5}, "hidden = 1.5"),
        ({"dropout": 1.0}, "dropout = 1.0 must be at least 0 and below 1"),
        ({"output_stride": 8}, "output_stride = 8"),
        ({"features": "pooled", "attention": "additive"}, "set features = 'grid' or attention = 'none'"),
        ({"gate": True, "attention": "none"}, "set attention = 'additive' or gate = false"),
        ({"gate": True, "attention": "multiplicative"}, "set attention = 'additive' or gate = false"),
        ({"colour": 1}, "unknown model option 'colour'"),
    ],
)
def test_refused_with_a_sentence(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ModelConfig.from_dict(options)
    assert said in str(caught.value)


def test_survives_a_round_trip() -> None:
    config = ModelConfig(encoder="alexnet", cell="gru", layers=3, attention="multiplicative", tied=True)
    assert ModelConfig.from_dict(config.to_dict()) == config
