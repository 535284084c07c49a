"""What captioners and answerers share: from a memory on, they are their decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cnnrnn.models.decoder import Decoder


class Decoding(nn.Module):
    """A model with a ``decoder``; ``initial_state`` and ``step`` are those of the export protocol."""

    decoder: Decoder

    def initial_state(self, memory: dict[str, Tensor]) -> dict[str, Tensor]:
        """The state before the start token: names to (B, H) tensors."""
        return self.decoder.initial_state(memory)

    def step(
        self, tokens: Tensor, state: dict[str, Tensor], memory: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]] | tuple[Tensor, dict[str, Tensor], Tensor]:
        """One word further for (B, K) tokens; see :meth:`cnnrnn.models.decoder.Decoder.step`."""
        return self.decoder.step(tokens, state, memory)

    def teacher_forced(self, memory: dict[str, Tensor], tokens: Tensor) -> Tensor:
        """Teacher forcing (Williams & Zipser 1989): logits of each next word.

        Args:
            memory: names to (B, ...) tensors.
            tokens: (B, T) the inputs, the start token first.

        Returns:
            (B, T, V) logits.
        """
        state = {name: value.unsqueeze(1) for name, value in self.initial_state(memory).items()}
        logits = []
        for column in tokens.unbind(dim=1):
            step_logits, state, *_ = self.step(column.unsqueeze(1), state, memory)
            logits.append(step_logits)
        return torch.cat(logits, dim=1)


def about(tensors: dict[str, Tensor], rows: Tensor | None) -> dict[str, Tensor]:
    """(I, ...) tensors of pictures for each of B examples, where these share pictures."""
    return tensors if rows is None else {name: tensor[rows] for name, tensor in tensors.items()}
