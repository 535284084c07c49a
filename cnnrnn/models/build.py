"""The model that a configuration describes."""

from __future__ import annotations

from typing import TypeAlias

from cnnrnn.models.answerer import Answerer
from cnnrnn.models.captioner import Captioner
from cnnrnn.models.config import ModelConfig
from cnnrnn.models.line_reader import LineReader

Model: TypeAlias = Captioner | Answerer | LineReader


def build_model(
    config: ModelConfig,
    vocabulary: int,
    question_vocabulary: int | None = None,
    *,
    load_pretrained: bool = True,
) -> Model:
    """A captioner, an answerer where the configuration has a ``question``, or a reader along columns.

    Args:
        vocabulary: V, the number of tokens of a caption or answer.
        question_vocabulary: of a question; needed by an answerer alone.
        load_pretrained: False skips the encoder's pre-trained weights, for a state dict that follows.
    """
    if config.decoder == "ctc":
        return LineReader(config, vocabulary, load_pretrained=load_pretrained)
    if config.question == "none":
        return Captioner(config, vocabulary, load_pretrained=load_pretrained)
    assert question_vocabulary is not None, "an answerer's questions have a vocabulary"
    return Answerer(config, vocabulary, question_vocabulary, load_pretrained=load_pretrained)
