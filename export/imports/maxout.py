"""The LSTM with a maxout for its input, and the captioners of ImageCaptioning.pytorch that have it.

Rennie et al. 2017 (Self-Critical Sequence Training), appendix A: what enters the cell is the larger of two
products, where an LSTM has the tanh of one.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from cnnrnn.export.imports.fitting import Fitted
from cnnrnn.export.imports.grid_attention import GridAttention, embedded_grid
from cnnrnn.export.imports.linear import linear
from cnnrnn.export.imports.vocabulary import Vocabulary
from cnnrnn.export.protocol import Tensors


class MaxoutCell(nn.Module):
    """One step. The products' rows are the gates i, f, o, then the two candidates.

    Args:
        weights: ``i2h`` and ``h2h``, with their biases.
        name: what stands before these names.
    """

    def __init__(self, weights: Mapping[str, Tensor], name: str) -> None:
        super().__init__()
        entering, hidden = (linear(weights, f"{name}.{side}") for side in ("i2h", "h2h"))
        joined = torch.cat((entering.weight, hidden.weight), 1)
        self.gates = linear({"gates.weight": joined, "gates.bias": entering.bias + hidden.bias}, "gates")
        self.hidden = hidden.weight.shape[1]

    def forward(
        self, entering: Tensor, hidden: Tensor, cell: Tensor, context: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Advance the state.

        Args:
            entering: (..., E).
            hidden, cell: the state, each (..., H).
            context: (..., 2H), which is added to the candidates.

        Returns:
            The next hidden and cell state, each (..., H).
        """
        products = self.gates(torch.cat((entering, hidden), -1))
        read, keep, show, one, other = products.chunk(5, -1)
        if context is not None:
            to_one, to_other = context.chunk(2, -1)
            one, other = one + to_one, other + to_other
        cell = torch.sigmoid(keep) * cell + torch.sigmoid(read) * torch.maximum(one, other)
        return torch.sigmoid(show) * torch.tanh(cell), cell


class MaxoutCaptioner(nn.Module):
    """``fc`` and ``newfc``: the picture is the first word, as in Show and Tell.

    Args:
        features: image to ``fc`` (B, D) and ``att`` (B, P, D).
        fitted: the tensors.
        vocabulary: whose rows are added.
        image, core: the names of the picture's layer and of the cell.
    """

    def __init__(
        self, features: nn.Module, fitted: Fitted, vocabulary: Vocabulary, *, image: str, core: str
    ) -> None:
        super().__init__()
        weights = fitted.tensors
        self.features = features
        self.described = linear(weights, image)
        self.cell = MaxoutCell(weights, core)
        self.embedding = vocabulary.embedding(weights["embed.weight"])
        self.output = vocabulary.output(weights["logit.weight"], weights["logit.bias"])

    def encode(self, image: Tensor) -> Tensors:
        """``picture`` (B, E)."""
        return {"picture": self.described(self.features(image)[0])}

    def initial_state(self, memory: Tensors) -> Tensors:
        """``h`` and ``c`` after the picture, each (B, H)."""
        picture = memory["picture"]
        empty = picture.new_zeros(picture.shape[0], self.cell.hidden)
        hidden, cell = self.cell(picture, empty, empty)
        return {"h": hidden, "c": cell}

    def step(self, tokens: Tensor, state: Tensors, memory: Tensors) -> tuple[Tensor, Tensors]:
        """Logits (B, K, V) and the next state."""
        hidden, cell = self.cell(self.embedding(tokens), state["h"], state["c"])
        return self.output(hidden), {"h": hidden, "c": cell}


class MaxoutAttentionCaptioner(nn.Module):
    """``att2in`` and ``att2in2``: the context enters the candidates alone.

    ``att2in2`` embeds the grid, and its words through a ReLU; ``att2in`` does neither.
    """

    def __init__(self, features: nn.Module, fitted: Fitted, vocabulary: Vocabulary) -> None:
        super().__init__()
        weights = fitted.tensors
        embeds = "embed.0.weight" in weights
        words = weights["embed.0.weight"].relu() if embeds else weights["embed.weight"]
        self.features = features
        self.grid = embedded_grid(fitted) if embeds else nn.Identity()
        self.attention = GridAttention(weights)
        self.context = linear(weights, "core.a2c")
        self.cell = MaxoutCell(weights, "core")
        self.embedding = vocabulary.embedding(words)
        self.output = vocabulary.output(weights["logit.weight"], weights["logit.bias"])

    def encode(self, image: Tensor) -> Tensors:
        """``keys`` (B, P, A), and ``values`` (B, P, 2H): the context is projected before it is chosen."""
        grid = self.grid(self.features(image)[1])
        return {"keys": self.attention.keys(grid), "values": self.context(grid)}

    def initial_state(self, memory: Tensors) -> Tensors:
        """``h`` and ``c`` (B, H), of zeros."""
        values = memory["values"]
        empty = values.new_zeros(values.shape[0], self.cell.hidden)
        return {"h": empty, "c": empty}

    def step(self, tokens: Tensor, state: Tensors, memory: Tensors) -> tuple[Tensor, Tensors, Tensor]:
        """Logits (B, K, V), the next state, and the alignment (B, K, P)."""
        alignment = self.attention(state["h"], memory["keys"])
        context = alignment @ memory["values"]
        hidden, cell = self.cell(self.embedding(tokens), state["h"], state["c"], context)
        return self.output(hidden), {"h": hidden, "c": cell}, alignment
