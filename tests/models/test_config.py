"""Every combination of options is built, or refused with a sentence before any work."""

import itertools

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
        ({"gate": True, "attention": "adaptive"}, "set attention = 'additive' or gate = false"),
        ({"attention": "adaptive", "cell": "gru"}, "set cell = 'lstm' or another attention"),
        (
            {"attention": "bottom_up_top_down", "conditioning": "first_input"},
            "set conditioning = 'every_step' or 'initial_state'",
        ),
        ({"residual": True}, "layers = 1; set layers = 2 or more, or residual = false"),
        (
            {"features": "pooled", "attention": "none", "position_encoder": "gru"},
            "set features = 'grid' or 'columns', or position_encoder = 'none'",
        ),
        ({"position_encoder": "rnn"}, "position_encoder = 'rnn' must be one of none, lstm, gru"),
        ({"position_hidden": 0}, "position_hidden = 0 must be a whole number from 1 to 8192"),
        ({"colour": 1}, "unknown model option 'colour'"),
    ],
)
def test_refused_with_a_sentence(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ModelConfig.from_dict(options)
    assert said in str(caught.value)


def test_every_combination_is_taken_or_refused_with_what_to_set() -> None:
    choices: dict[str, tuple[object, ...]] = {
        "cell": ("lstm", "gru"),
        "conditioning": ("initial_state", "first_input", "every_step"),
        "attention": ("none", "additive", "multiplicative", "bottom_up_top_down", "adaptive"),
        "gate": (False, True),
        "features": ("grid", "columns", "pooled"),
        "position_encoder": ("none", "lstm"),
        "layers": (1, 2),
        "residual": (False, True),
    }
    taken: dict[str, set[object]] = {name: set() for name in choices}
    refused = set()
    for values in itertools.product(*choices.values()):
        options = dict(zip(choices, values, strict=True))
        try:
            ModelConfig.from_dict(options)
        except ConfigError as error:
            refused.add(str(error))
        else:
            for name, value in options.items():
                taken[name].add(value)
    assert taken == {name: set(values) for name, values in choices.items()}
    assert refused
    assert not [sentence for sentence in refused if "; set " not in sentence]


def test_survives_a_round_trip() -> None:
    config = ModelConfig(
        encoder="alexnet",
        cell="gru",
        layers=3,
        residual=True,
        attention="multiplicative",
        position_encoder="gru",
        tied=True,
    )
    assert ModelConfig.from_dict(config.to_dict()) == config
