"""The trunk for lines of text: a column for every four pixels, and what it has not."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cnnrnn.core.errors import ConfigError
from cnnrnn.models import ModelConfig, build_encoder
from cnnrnn.models.line_trunk import LineTrunk


@pytest.mark.parametrize(("width", "columns"), [(128, 32), (256, 64), (384, 96)])
def test_a_column_for_every_four_pixels(width: int, columns: int) -> None:
    encoder = build_encoder(ModelConfig(encoder="crnn_small", features="columns"))
    assert encoder.grid(32, width) == (1, columns)
    assert encoder(torch.zeros(2, 3, 32, width)).shape == (2, columns, LineTrunk.channels)


def test_it_stays_light() -> None:
    assert sum(weight.numel() for weight in LineTrunk().parameters()) < 700_000


@pytest.mark.parametrize("options", [{"pretrained": True}, {"output_stride": 16}, {"drop_connect": 0.1}])
def test_what_it_has_not_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="has no weights but those of a state dict"):
        build_encoder(ModelConfig(encoder="crnn_small", **options))
