"""A CNN, a question's RNN and an RNN decoder joined: the model that answers questions about pictures."""

from __future__ import annotations

from torch import Tensor

from cnnrnn.models.config import ModelConfig
from cnnrnn.models.decoders import build_decoder
from cnnrnn.models.decoding import Decoding, about
from cnnrnn.models.encoders import build_encoder
from cnnrnn.models.positions import build_position_encoder
from cnnrnn.models.question import Fusion, QuestionEncoder


class Answerer(Decoding):
    """Visual question answering by the export protocol: ``encode_image``, ``encode``, ``initial_state``,
    ``step``.

    Args:
        config: the options, already checked; ``question`` is a cell.
        vocabulary: V, the number of an answer's tokens.
        question_vocabulary: the number of a question's.
        load_pretrained: False skips the encoder's pre-trained weights, for a state dict that follows.
    """

    def __init__(
        self,
        config: ModelConfig,
        vocabulary: int,
        question_vocabulary: int,
        *,
        load_pretrained: bool = True,
    ) -> None:
        super().__init__()
        self.config = config
        self.encoder = build_encoder(config, load_pretrained=load_pretrained)
        self.positions, features = build_position_encoder(config, self.encoder.channels)
        self.question = QuestionEncoder(config, question_vocabulary)
        self.fusion = Fusion(features, config.question_hidden, config.fusion)
        self.decoder = build_decoder(config, config.fusion, vocabulary)

    def encode_image(self, image: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) float32, normalised, to the ``features``, (B, P, D) or (B, D), of any question."""
        return {"features": self.positions(self.encoder(image))}

    def encode(self, seen: dict[str, Tensor], question: Tensor, question_length: Tensor) -> dict[str, Tensor]:
        """What was seen, looked at as the question asks, to the memory: names to (B, ...) tensors.

        Args:
            seen: of :meth:`encode_image`, a picture for each question.
            question: (B, Q) int64 token ids, filled up.
            question_length: (B) int64.
        """
        asked = self.question(question, question_length)
        return self.decoder.memory(*self.fusion(seen["features"], asked))

    def memory(
        self, image: Tensor, question: Tensor, question_length: Tensor, *, rows: Tensor | None = None
    ) -> dict[str, Tensor]:
        """As :meth:`cnnrnn.models.captioner.Captioner.memory`, of (B, Q) questions and their (B) lengths."""
        return self.encode(about(self.encode_image(image), rows), question, question_length)

    def forward(
        self,
        image: Tensor,
        tokens: Tensor,
        question: Tensor,
        question_length: Tensor,
        *,
        rows: Tensor | None = None,
    ) -> Tensor:
        """Teacher forcing, as :meth:`cnnrnn.models.captioner.Captioner.forward`."""
        return self.teacher_forced(self.memory(image, question, question_length, rows=rows), tokens)
