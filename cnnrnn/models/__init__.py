"""Torch models: CNN encoders, RNN decoders and the captioner that joins them."""

from cnnrnn.models.captioner import Captioner
from cnnrnn.models.config import ModelConfig
from cnnrnn.models.encoders import Encoder, build_encoder

__all__ = ["Captioner", "Encoder", "ModelConfig", "build_encoder"]
