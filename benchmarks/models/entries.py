"""What is measured: encoders under one decoder, and decoders over one encoder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

ENCODER = "encoder"
DECODER = "decoder"

# Small and fast, so that what a decoder costs is seen beside it; also the measure of what is slow.
REFERENCE = "mobilenet_v3_large"

_NAMES = (
    "alexnet",
    *(f"vgg{depth}{norm}" for depth in (11, 16, 19) for norm in ("", "_bn")),
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnext50_32x4d",
    "densenet121",
    "mobilenet_v2",
    "mobilenet_v3_small",
    REFERENCE,
    "efficientnet_lite0",
    "efficientnet_b0",
    "convnext_tiny",
    "regnet_y_400mf",
)

_DECODERS: dict[str, dict[str, Any]] = {
    "LSTM": {"attention": "none"},
    "GRU": {"attention": "none", "cell": "gru"},
    "LSTM, layer_norm": {"attention": "none", "layer_norm": True},
    "GRU, layer_norm": {"attention": "none", "cell": "gru", "layer_norm": True},
    "LSTM, 4 layers, residual": {"attention": "none", "layers": 4, "residual": True},
    "LSTM, additive": {"attention": "additive"},
    "LSTM, additive, gate": {"attention": "additive", "gate": True},
    "GRU, additive": {"attention": "additive", "cell": "gru"},
    "LSTM, multiplicative": {"attention": "multiplicative"},
    "GRU, multiplicative": {"attention": "multiplicative", "cell": "gru"},
    "LSTM, bottom_up_top_down": {"attention": "bottom_up_top_down", "conditioning": "every_step"},
    "GRU, bottom_up_top_down": {
        "attention": "bottom_up_top_down",
        "cell": "gru",
        "conditioning": "every_step",
    },
    "LSTM, adaptive": {"attention": "adaptive", "conditioning": "every_step"},
    "LSTM, additive, position_encoder lstm": {"attention": "additive", "position_encoder": "lstm"},
    "GRU, additive, position_encoder gru, columns": {
        "attention": "additive",
        "cell": "gru",
        "position_encoder": "gru",
        "features": "columns",
    },
}


@dataclass(frozen=True)
class Entry:
    """One row of the table.

    Attributes:
        kind: `ENCODER` or `DECODER`: which table it is in.
        options: of the `ModelConfig`, beside the sizes, which all have in common.
    """

    name: str
    kind: str
    options: dict[str, Any] = field(default_factory=dict)


ENTRIES = (
    *(Entry(name, ENCODER, {"encoder": name}) for name in _NAMES),
    *(Entry(name, DECODER, {"encoder": REFERENCE, **options}) for name, options in _DECODERS.items()),
)
