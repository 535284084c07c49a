"""The decoder of each attention, by its name in a configuration."""

from __future__ import annotations

from cnnrnn.models.adaptive import AdaptiveDecoder
from cnnrnn.models.attending import AdditiveDecoder, MultiplicativeDecoder
from cnnrnn.models.bottom_up_top_down import BottomUpTopDownDecoder
from cnnrnn.models.config import Attention, ModelConfig
from cnnrnn.models.decoder import Decoder

DECODERS: dict[Attention, type[Decoder]] = {
    "none": Decoder,
    "additive": AdditiveDecoder,
    "multiplicative": MultiplicativeDecoder,
    "bottom_up_top_down": BottomUpTopDownDecoder,
    "adaptive": AdaptiveDecoder,
}


def build_decoder(config: ModelConfig, features: int, vocabulary: int) -> Decoder:
    """The decoder that a config names.

    Args:
        config: the options, already checked.
        features: D, the size of a feature.
        vocabulary: V, the number of tokens.
    """
    return DECODERS[config.attention](config, features, vocabulary)
