"""A CNN encoder and an RNN decoder joined: the model that ``cnnrnn train`` trains."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from cnnrnn.models.config import ModelConfig
from cnnrnn.models.decoders import build_decoder
from cnnrnn.models.encoders import build_encoder
from cnnrnn.models.positions import build_position_encoder


class Captioner(nn.Module):
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

    def initial_state(self, memory: dict[str, Tensor]) -> dict[str, Tensor]:
        """The state before the start token: names to (B, H) tensors."""
        return self.decoder.initial_state(memory)

    def step(
        self, tokens: Tensor, state: dict[str, Tensor], memory: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]] | tuple[Tensor, dict[str, Tensor], Tensor]:
        """One word further for (B, K) tokens; see :meth:`cnnrnn.models.decoder.Decoder.step`."""
        return self.decoder.step(tokens, state, memory)

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
        """Teacher forcing over (B, T) tokens, the start token first; see :func:`teacher_forced`."""
        return teacher_forced(self, self.memory(image, rows=rows), tokens)


def about(tensors: dict[str, Tensor], rows: Tensor | None) -> dict[str, Tensor]:
    """(I, ...) tensors of pictures for each of B examples, where these share pictures."""
    return tensors if rows is None else {name: tensor[rows] for name, tensor in tensors.items()}


class Stepping(Protocol):
    """What is unrolled: a captioner or an answerer."""

    def initial_state(self, memory: dict[str, Tensor]) -> dict[str, Tensor]:
        """The state before the start token."""
        ...

    def step(
        self, tokens: Tensor, state: dict[str, Tensor], memory: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]] | tuple[Tensor, dict[str, Tensor], Tensor]:
        """One word further."""
        ...


def teacher_forced(model: Stepping, memory: dict[str, Tensor], tokens: Tensor) -> Tensor:
    """Teacher forcing (Williams & Zipser 1989): logits of each next word.

    The same ``step`` that is exported is unrolled, so training and decoding cannot differ.

    Args:
        memory: names to (B, ...) tensors.
        tokens: (B, T) the inputs, the start token first.

    Returns:
        (B, T, V) logits.
    """
    state = {name: value.unsqueeze(1) for name, value in model.initial_state(memory).items()}
    logits = []
    for column in tokens.unbind(dim=1):
        step_logits, state, *_ = model.step(column.unsqueeze(1), state, memory)
        logits.append(step_logits)
    return torch.cat(logits, dim=1)
