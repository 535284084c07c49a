"""A reader of text lines without a decoder: CNN, recurrent layers over the columns, characters of each."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cnnrnn.models.config import ModelConfig
from cnnrnn.models.decoding import about
from cnnrnn.models.encoders import build_encoder
from cnnrnn.models.positions import PositionEncoder


class LineReader(nn.Module):
    """CRNN (Shi et al. 2016, arXiv 1507.05717), by the methods of the export protocol.

    All that it makes of a line is made by ``encode``; a step gives the next of its columns, whatever the
    tokens were, and the search is that of connectionist temporal classification.

    Args:
        config: the options, already checked; ``layers`` recurrent layers, a linear one between each two.
        vocabulary: V, the blank among them.
        load_pretrained: False skips the encoder's pre-trained weights, for a state dict that follows.
    """

    def __init__(self, config: ModelConfig, vocabulary: int, *, load_pretrained: bool = True) -> None:
        super().__init__()
        self.config = config
        self.encoder = build_encoder(config, load_pretrained=load_pretrained)
        size, hidden = self.encoder.channels, config.position_hidden
        layers: list[nn.Module] = []
        for number in range(config.layers):
            layers.append(PositionEncoder(config.position_encoder, size, hidden))
            if number + 1 < config.layers:
                layers.append(nn.Linear(2 * hidden, hidden))
            size = hidden
        self.columns = nn.Sequential(*layers)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(2 * hidden, vocabulary)

    def encode(self, image: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) float32, normalised, to ``logits`` (B, P, V) float32 of the columns, left to right."""
        features = self.columns(self.encoder(image))
        return {"logits": self.output(self.dropout(features)).float()}

    def memory(self, image: Tensor, *, rows: Tensor | None = None) -> dict[str, Tensor]:
        """As `cnnrnn.models.captioner.Captioner.memory`."""
        return about(self.encode(image), rows)

    def initial_state(self, memory: dict[str, Tensor]) -> dict[str, Tensor]:
        """``column`` (B, 1) int32: the next that a step gives."""
        logits = memory["logits"]
        return {"column": logits.new_zeros(logits.shape[0], 1, dtype=torch.int32)}

    def step(
        self, tokens: Tensor, state: dict[str, Tensor], memory: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The next column of every beam: (B, K, V) logits, and the column after it.

        Args:
            tokens: (B, K); a beam whose token is below 0, which is none, stays at its column.
            state: ``column`` (B, K, 1) int32; after the last one it is the last again.
        """
        logits, column = memory["logits"], state["column"]
        place = column.long().clamp(max=logits.shape[1] - 1).expand(-1, -1, logits.shape[2])
        further = (tokens >= 0).unsqueeze(-1).to(torch.int32)
        return logits.gather(1, place), {"column": column + further}
