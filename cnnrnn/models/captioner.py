"""A CNN encoder and an RNN decoder joined: the model that ``cnnrnn train`` trains."""

from __future__ import annotations

from torch import Tensor

from cnnrnn.models.config import ModelConfig
from cnnrnn.models.decoders import build_decoder
from cnnrnn.models.decoding import Decoding, about
from cnnrnn.models.encoders import build_encoder
from cnnrnn.models.positions import build_position_encoder


class Captioner(Decoding):
    """An image captioner that follows the export protocol: ``encode``, ``initial_state``, ``step``.

    Args:
        config: the options, already checked.
        vocabulary: V, the number of tokens.
        load_pretrained: False skips the encoder's pre-trained weights, for a state dict that follows.
    """

    def __init__(self, config: ModelConfig, vocabulary: int, *, load_pretrained: bool = True) -> None:
        super().__init__()
        self.config = config
        self.encoder = build_encoder(config, load_pretrained=load_pretrained)
        self.positions, features = build_position_encoder(config, self.encoder.channels)
        self.decoder = build_decoder(config, features, vocabulary)

    def encode(self, image: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) float32, normalised, to the memory: names to (B, ...) tensors."""
        return self.decoder.memory(self.positions(self.encoder(image)))

    def memory(self, image: Tensor, *, rows: Tensor | None = None) -> dict[str, Tensor]:
        """What training unrolls a decoder over, of captioners and answerers alike.

        Args:
            image: (B, 3, H, W) float32, normalised; or (I, 3, H, W) with ``rows``.
            rows: (B) int64, which of the pictures each caption is about.

        Returns:
            Names to (B, ...) tensors.
        """
        return about(self.encode(image), rows)

    def forward(self, image: Tensor, tokens: Tensor, *, rows: Tensor | None = None) -> Tensor:
        """Teacher forcing over (B, T) tokens, the start token first; see :meth:`teacher_forced`."""
        return self.teacher_forced(self.memory(image, rows=rows), tokens)
