"""Torch models: CNN encoders, RNN decoders, the captioner and the answerer that join them, the reader."""

from cnnrnn.models.answerer import Answerer
from cnnrnn.models.build import Model, build_model
from cnnrnn.models.captioner import Captioner
from cnnrnn.models.config import ModelConfig
from cnnrnn.models.encoders import Encoder, build_encoder
from cnnrnn.models.line_reader import LineReader

__all__ = [
    "Answerer",
    "Captioner",
    "Encoder",
    "LineReader",
    "Model",
    "ModelConfig",
    "build_encoder",
    "build_model",
]
