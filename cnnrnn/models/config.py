"""The captioner's options, and the one place where their combinations are checked."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from cnnrnn.core.errors import ConfigError

Cell = Literal["lstm", "gru"]
Features = Literal["grid", "columns", "pooled"]
PositionEncoder = Literal["none", "lstm", "gru"]
Conditioning = Literal["initial_state", "first_input", "every_step"]
Attention = Literal["none", "additive", "multiplicative", "bottom_up_top_down", "adaptive"]
Question = Literal["none", "lstm", "gru"]
DecoderKind = Literal["rnn", "ctc"]

_CHOICES = {
    "features": get_args(Features),
    "position_encoder": get_args(PositionEncoder),
    "cell": get_args(Cell),
    "conditioning": get_args(Conditioning),
    "attention": get_args(Attention),
    "question": get_args(Question),
    "decoder": get_args(DecoderKind),
}


@dataclass(frozen=True)
class ModelConfig:
    """What a :class:`~cnnrnn.models.captioner.Captioner` is made of, or, where there is a ``question``, an
    :class:`~cnnrnn.models.answerer.Answerer`.

    Attributes:
        encoder: ``"efficientnet_lite0"``; for lines of text ``"vgg_crnn"``, the lighter ``"vgg_crnn_small"``,
            ``"vgg_crnn_tiny"`` and ``"crnn_small"``; or the name of a torchvision classification model.
        pretrained: ``False``, ``True`` (the weights that the encoder's package or torchvision's cache
            holds) or the path of a state dict.
        output_stride: pixels of the image per position of the feature grid; 0 keeps the trunk's own.
            16 is offered by EfficientNet-Lite0 and by ResNets with bottlenecks, as in DeepLab.
        features: ``"grid"`` keeps the P = h * w positions, ``"columns"`` averages each column's rows and
            keeps P = w, from left to right as a line of text is read, ``"pooled"`` averages them all.
        feature_norm: batch normalisation (Ioffe & Szegedy 2015) of the trunk's last grid, so that a decoder
            meets features of one scale whatever the trunk, and learns in fewer steps.
        position_encoder: a bidirectional ``"lstm"`` or ``"gru"`` over the positions in row order, between
            encoder and decoder (Shi et al. 2016, CRNN), or ``"none"``.
        position_hidden: size of each of its directions' hidden states: the decoder meets features of twice
            that size.
        cell: ``"lstm"`` (Hochreiter & Schmidhuber 1997) or ``"gru"`` (Cho et al. 2014, reset after the
            matrix product as cuDNN and :class:`torch.nn.GRU` have it).
        layers: L, the number of stacked cells; of bottom-up and top-down attention, of language cells.
        residual: each cell but the lowest adds its input to its output (Wu et al. 2016, GNMT).
        layer_norm: the decoder's cells normalise their products (Ba et al. 2016).
        hidden: H, the size of a hidden state.
        embedding: size of a word's embedding.
        conditioning: how the image enters: as the ``"initial_state"`` (Vinyals et al. 2015 call it the
            initialisation; Xu et al. 2015 do so), as the ``"first_input"`` before the start token (Show
            and Tell), or as an input at ``"every_step"`` (Mao et al. 2015).
        attention: ``"none"``, ``"additive"`` (Bahdanau et al. 2015, read before the cell as in Show,
            Attend and Tell), ``"multiplicative"`` (Luong et al. 2015, read after the cell),
            ``"bottom_up_top_down"`` (Anderson et al. 2018: a cell that attends under one that speaks; the
            image's mean feature enters at every step) or ``"adaptive"`` (Lu et al. 2017: read after the
            cell, beside a visual sentinel).
        attention_size: A, the hidden layer's size of every attention but the multiplicative.
        gate: Show, Attend and Tell's scalar-per-feature gate on the context (its section 4.2.1).
        tied: the output matrix is the embedding's (Press & Wolf 2017).
        dropout: probability, on embeddings and before the output layer, while training.
        drop_connect: probability that a residual block of EfficientNet-Lite0 is skipped, while training.
        frozen_blocks: how many of the trunk's blocks, counted from the image and the stem with them,
            keep their pre-trained weights when the encoder is fine-tuned.
        question: the cell that reads a question about the picture, ``"lstm"`` or ``"gru"``; ``"none"`` for
            a captioner, which is asked nothing.
        question_embedding, question_hidden: sizes of a question's words, and of what it is read into.
        fusion: F, the size of what a position and the question become together (Kim et al. 2017).
        decoder: ``"rnn"``, or ``"ctc"`` for a :class:`~cnnrnn.models.line_reader.LineReader`, which reads a
            line along its columns (Shi et al. 2016) with ``layers`` position encoders and no other cell.
    """

    encoder: str = "resnet50"
    pretrained: bool | str = False
    output_stride: int = 0
    features: Features = "grid"
    feature_norm: bool = False
    position_encoder: PositionEncoder = "none"
    position_hidden: int = 256
    cell: Cell = "lstm"
    layers: int = 1
    residual: bool = False
    layer_norm: bool = False
    hidden: int = 512
    embedding: int = 256
    conditioning: Conditioning = "initial_state"
    attention: Attention = "additive"
    attention_size: int = 256
    gate: bool = False
    tied: bool = False
    dropout: float = 0.3
    drop_connect: float = 0.0
    frozen_blocks: int = 0
    question: Question = "none"
    question_embedding: int = 128
    question_hidden: int = 256
    fusion: int = 256
    decoder: DecoderKind = "rnn"

    def __post_init__(self) -> None:
        _check(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """Builds a config from a TOML table or a checkpoint.

        Raises:
            ConfigError: a key is unknown, a value is out of range, or two of them contradict.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ConfigError(f"unknown model option {unknown[0]!r}; known are {', '.join(sorted(known))}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """The options as plain values, for a checkpoint or a manifest's provenance."""
        return asdict(self)


def _check(config: ModelConfig) -> None:
    for name, allowed in _CHOICES.items():
        if (value := getattr(config, name)) not in allowed:
            raise ConfigError(f"model option {name} = {value!r} must be one of {', '.join(allowed)}")
    for name, low, high in (
        ("layers", 1, 16),
        ("position_hidden", 1, 8192),
        ("hidden", 1, 8192),
        ("embedding", 1, 8192),
        ("attention_size", 1, 8192),
        ("frozen_blocks", 0, 1000),
        ("question_embedding", 1, 8192),
        ("question_hidden", 1, 8192),
        ("fusion", 1, 8192),
    ):
        value = getattr(config, name)
        if not isinstance(value, int) or not low <= value <= high:
            raise ConfigError(f"model option {name} = {value!r} must be a whole number from {low} to {high}")
    for name in ("dropout", "drop_connect"):
        if not 0 <= (value := getattr(config, name)) < 1:
            raise ConfigError(f"model option {name} = {value!r} must be at least 0 and below 1")
    if config.output_stride not in (0, 16, 32):
        raise ConfigError(
            f"model option output_stride = {config.output_stride} must be 0 (the trunk's), 16 or 32"
        )
    if config.decoder == "ctc":
        _check_columns(config)
    _check_positions(config)
    _check_cells(config)


def _check_columns(config: ModelConfig) -> None:
    """A reader along columns has them, recurrent layers over them, and nothing that writes or asks."""
    wanted = {"features": "columns", "attention": "none", "question": "none"}
    for name, value in wanted.items():
        if (given := getattr(config, name)) != value:
            raise ConfigError(
                f"decoder = 'ctc' reads a line along its columns, and {name} = {given!r}; set {name} = "
                f"{value!r} or decoder = 'rnn'"
            )
    if config.position_encoder == "none":
        raise ConfigError(
            "decoder = 'ctc' has recurrent layers over the columns, and position_encoder = 'none'; set it to "
            "'lstm' or 'gru'"
        )


def _check_positions(config: ModelConfig) -> None:
    """What looks at positions has some, and may look at them as it is told to."""
    if config.attention != "none" and config.features == "pooled":
        raise ConfigError(
            f"attention = {config.attention!r} needs positions to choose between, and features = 'pooled' "
            "leaves one; set features = 'grid' or attention = 'none'"
        )
    if config.position_encoder != "none" and config.features == "pooled":
        raise ConfigError(
            f"position_encoder = {config.position_encoder!r} reads one position after the other, and "
            "features = 'pooled' leaves one; set features = 'grid' or 'columns', or position_encoder = 'none'"
        )
    if config.gate and config.attention != "additive":
        raise ConfigError(
            f"gate = true scales the context of additive attention, and attention is {config.attention!r}; "
            "set attention = 'additive' or gate = false"
        )


def _check_cells(config: ModelConfig) -> None:
    """The cells can do what the attention and the connections between them ask for."""
    if config.attention == "adaptive" and config.cell != "lstm":
        raise ConfigError(
            f"attention = 'adaptive' makes its sentinel of an LSTM's cell state, and cell = {config.cell!r} "
            "has none; set cell = 'lstm' or another attention"
        )
    if config.attention == "bottom_up_top_down" and config.conditioning == "first_input":
        raise ConfigError(
            "attention = 'bottom_up_top_down' has the image's mean feature at every step, and conditioning = "
            "'first_input' would give it once; set conditioning = 'every_step' or 'initial_state'"
        )
    if config.residual and config.layers < 2:
        raise ConfigError(
            f"residual = true adds a layer's input to its output from the second layer on, and layers = "
            f"{config.layers}; set layers = 2 or more, or residual = false"
        )
