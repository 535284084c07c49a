"""The textbook's captioner as modules, whose tensors a key map can name, and as `wrap_rnn` has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor, nn

from cnnrnn.core.errors import ConfigError
from cnnrnn.export.imports.vocabulary import Vocabulary
from cnnrnn.export.rnn import Features, RnnCaptioner, wrap_rnn
from cnnrnn.models.config import ModelConfig
from cnnrnn.models.encoders import build_encoder


@dataclass(frozen=True)
class PlainConfig:
    """A CNN, pooled; a layer on it; an ``nn.LSTM`` or ``nn.GRU``; a layer to the words.

    Attributes:
        encoder: the name of a torchvision classification model.
        features: where the picture enters, as `cnnrnn.export.wrap_rnn` has it.
        projection: whether a linear layer brings the CNN's features to the size that is needed.
        norm: whether batch normalisation follows it.
        picture: D, the size of the features with ``features = "every_input"``; 0 is the embedding's.
        cell, layers, hidden, embedding, bias: the recurrent layers' kind, number, sizes H and E, and whether
            they have biases.
    """

    encoder: str = "resnet50"
    features: Features = "first_input"
    projection: bool = True
    norm: bool = False
    picture: int = 0
    cell: Literal["lstm", "gru"] = "lstm"
    layers: int = 1
    hidden: int = 512
    embedding: int = 256
    bias: bool = True

    def __post_init__(self) -> None:
        if self.features not in get_args(Features):
            raise ConfigError(
                f"rnn features = {self.features!r} must be one of {', '.join(get_args(Features))}"
            )
        if self.cell not in ("lstm", "gru"):
            raise ConfigError(f"rnn cell = {self.cell!r} must be lstm or gru")
        for name, least in (("layers", 1), ("hidden", 1), ("embedding", 1), ("picture", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or not least <= value <= 8192:
                raise ConfigError(f"rnn {name} = {value!r} must be a whole number from {least} to 8192")

    @property
    def width(self) -> int:
        """The size of the features as the recurrent layers take them."""
        if self.features == "state":
            return self.hidden
        return self.picture or self.embedding if self.features == "every_input" else self.embedding


class PlainNetwork(nn.Module):
    """The names of its tensors are what a key map's rules are for.

    ``encoder.trunk.*`` by torchvision's names, ``encoder.linear.*``, ``encoder.norm.*``,
    ``embedding.weight``, ``rnn.weight_ih_l0`` and so on as `torch.nn.LSTM` has them, ``output.*``.
    """

    def __init__(self, config: PlainConfig, vocabulary: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = _PooledEncoder(config)
        self.embedding = nn.Embedding(vocabulary, config.embedding)
        kind = nn.LSTM if config.cell == "lstm" else nn.GRU
        behind = config.width if config.features == "every_input" else 0
        self.rnn = kind(config.embedding + behind, config.hidden, config.layers, config.bias)
        self.output = nn.Linear(config.hidden, vocabulary)

    def wrapped(self, vocabulary: Vocabulary) -> RnnCaptioner:
        """As a model that can be exported, with the rows that the vocabulary adds."""
        embedding = vocabulary.embedding(self.embedding.weight.detach())
        output = vocabulary.output(self.output.weight.detach(), self.output.bias.detach())
        return wrap_rnn(self.encoder, embedding, self.rnn, output, features=self.config.features)


class _PooledEncoder(nn.Module):
    def __init__(self, config: PlainConfig) -> None:
        super().__init__()
        pooled = build_encoder(ModelConfig(encoder=config.encoder, features="pooled", attention="none"))
        self.trunk = pooled.trunk
        if not config.projection and pooled.channels != config.width:
            raise ConfigError(
                f"rnn projection = false, and {config.encoder} gives {pooled.channels} features where "
                f"{config.width} are needed; set it to true, or the sizes otherwise"
            )
        self.linear = nn.Linear(pooled.channels, config.width) if config.projection else nn.Identity()
        self.norm = nn.BatchNorm1d(config.width) if config.norm else nn.Identity()

    def forward(self, image: Tensor) -> Tensor:
        features: Tensor = self.norm(self.linear(self.trunk(image).mean((2, 3))))
        return features
