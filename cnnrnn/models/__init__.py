"""Torch models: CNN encoders, RNN decoders, and the captioner and the answerer that join them."""

from cnnrnn.models.answerer import Answerer
from cnnrnn.models.build import Model, build_model
from cnnrnn.models.captioner import Captioner
from cnnrnn.models.config import ModelConfig
from cnnrnn.models.encoders import Encoder, build_encoder

__all__ = ["Answerer", "Captioner", "Encoder", "Model", "ModelConfig", "build_encoder", "build_model"]
