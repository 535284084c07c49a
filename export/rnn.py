"""One call for the plain recurrent captioner: a CNN, an embedding, an ``nn.LSTM`` or its kin, a linear layer.

The recurrent layers are rewritten (`cnnrnn.export.cells`), the other modules are used as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from cnnrnn.core.errors import ModelError
from cnnrnn.export.cells import Recurrent, RecurrentLayer, layer_weights
from cnnrnn.export.protocol import Tensors

Features: TypeAlias = Literal["state", "first_input", "every_input"]
InitialState: TypeAlias = Callable[[Tensor], "Tensor | tuple[Tensor, Tensor]"]

_FEATURES = ("state", "first_input", "every_input")


def wrap_rnn(
    encoder: nn.Module,
    embedding: nn.Module,
    rnn: Recurrent,
    output: nn.Module,
    *,
    features: Features = "state",
    initial: InitialState | None = None,
) -> RnnCaptioner:
    """Give a plain CNN-RNN captioner the three methods of `CaptionModel`.

    Args:
        encoder: image (B, 3, H, W) to features (B, D); more dimensions are flattened.
        embedding: tokens (B, K) int64 to (B, K, E), usually an ``nn.Embedding``.
        rnn: an ``nn.LSTM`` or ``nn.GRU`` of any number of layers, or one cell, or a list of cells, one for
            each layer.
        output: hidden state (B, K, H) to logits (B, K, V), usually an ``nn.Linear``.
        features: where the picture enters. ``"state"``: the features are the initial hidden state of every
            layer (and cell state of an LSTM), so D must be H. ``"first_input"``: they are the input of a step
            before the first word, so D must be E. ``"every_input"``: they stand behind the embedding,
            ``torch.cat((embedded, features), -1)``, at every step, so E + D is the cell's input size.
        initial: features (B, D) to what ``nn.LSTM`` takes as ``(h0, c0)`` or ``nn.GRU`` as ``h0``, each
            (L, B, H), or (B, H) for one layer. Without it: as ``features`` says, zeros unless ``"state"``.

    Returns:
        A module in ``eval`` mode. It holds copies of the recurrent weights and the other modules themselves,
        which are put into ``eval`` mode too: wrap after training.

    Raises:
        ModelError: a bidirectional or projected layer, an unknown cell, sizes that do not fit, or a choice of
            ``features`` that there is not.
    """
    if features not in _FEATURES:
        raise ModelError(f"features={features!r} is none of {', '.join(map(repr, _FEATURES))}")
    weights = layer_weights(rnn)
    width = _embedding_width(embedding)
    wanted = weights[0].w_input.shape[1]
    if width > wanted or (width != wanted and features != "every_input"):
        raise ModelError(
            f"the embedding gives {width} values and the recurrent layer takes {wanted}; they must be the "
            "same, or, with features='every_input', the layer takes the picture's features behind them"
        )
    layers = [
        RecurrentLayer(layer, wanted - width if number == 0 else 0) for number, layer in enumerate(weights)
    ]
    return RnnCaptioner(encoder, embedding, layers, output, features, initial).eval()


class RnnCaptioner(nn.Module):
    """What `wrap_rnn` returns: states ``h0``, ``c0``, ``h1``, ... by layer, each (B, H).

    The memory is ``features`` (B, D) and, with ``features="every_input"``, ``picture`` (B, gates): the
    picture's share of the first layer's products, which is the same for every word.
    """

    def __init__(
        self,
        encoder: nn.Module,
        embedding: nn.Module,
        layers: list[RecurrentLayer],
        output: nn.Module,
        features: Features,
        initial: InitialState | None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.embedding = embedding
        self.layers: Any = nn.ModuleList(layers)  # of RecurrentLayer; a ModuleList forgets it
        self.output = output
        self.features = features
        self.initial = initial

    def encode(self, image: Tensor) -> Tensors:
        """Image (B, 3, H, W) to ``features`` (B, D) and, with ``"every_input"``, ``picture`` (B, gates)."""
        vectors = self.encoder(image).flatten(1)
        memory = {"features": vectors}
        if self.features == "every_input":
            memory["picture"] = self._picture(vectors)
        return memory

    def initial_state(self, memory: Tensors) -> Tensors:
        """Features to the state before the first word: each ``h``, and each LSTM layer's ``c``, is (B, H)."""
        vectors = memory["features"]
        if self.initial is not None:
            state = self._given_state(vectors)
        elif self.features == "state":
            self._check_width(vectors)
            state = {name: vectors for name in self._state_names()}  # noqa: C420 (fromkeys loses the type)
        else:
            state = {name: vectors.new_zeros(vectors.shape[0], self._hidden) for name in self._state_names()}
        if self.features == "first_input":
            lifted = {name: tensor.unsqueeze(1) for name, tensor in state.items()}
            _, lifted = self._recur(vectors.unsqueeze(1), lifted)
            state = {name: tensor.squeeze(1) for name, tensor in lifted.items()}
        return state

    def step(self, tokens: Tensor, state: Tensors, memory: Tensors) -> tuple[Tensor, Tensors]:
        """Tokens (B, K) and state of (B, K, H) tensors to logits (B, K, V) and the next state."""
        picture = memory["picture"].unsqueeze(1) if self.features == "every_input" else None
        hidden, following = self._recur(self.embedding(tokens), state, picture)
        return self.output(hidden), following

    def _recur(
        self, entering: Tensor, state: Tensors, picture: Tensor | None = None
    ) -> tuple[Tensor, Tensors]:
        following: Tensors = {}
        for number, layer in enumerate(self.layers):
            cell = state.get(f"c{number}")
            entering, cell = layer(entering, state[f"h{number}"], cell, picture if number == 0 else None)
            following[f"h{number}"] = entering
            if cell is not None:
                following[f"c{number}"] = cell
        return entering, following

    def _state_names(self) -> list[str]:
        kinds = "hc" if self._is_lstm else "h"
        return [f"{kind}{number}" for number in range(len(self.layers)) for kind in kinds]

    @property
    def _is_lstm(self) -> bool:
        return bool(self.layers[0].is_lstm)

    @property
    def _hidden(self) -> int:
        return int(self.layers[0].hidden)

    def _picture(self, vectors: Tensor) -> Tensor:
        first = self.layers[0]
        if not first.behind or vectors.shape[1] != first.behind:
            raise ModelError(
                f"the encoder gives {vectors.shape[1]} features and the recurrent layer has room for "
                f"{first.behind} behind the embedding; with features='every_input' its input size is their "
                "sum"
            )
        return first.from_picture(vectors)

    def _check_width(self, vectors: Tensor) -> None:
        if vectors.shape[1] != self._hidden:
            raise ModelError(
                f"the encoder gives {vectors.shape[1]} features and the hidden state has {self._hidden} "
                "values; with features='state' they are the same thing. End the encoder with a linear layer "
                f"to {self._hidden}, or give initial=, a function from features to (h0, c0)"
            )

    def _given_state(self, vectors: Tensor) -> Tensors:
        assert self.initial is not None
        given = self.initial(vectors)
        parts = given if isinstance(given, tuple) else (given,)
        kinds = "hc" if self._is_lstm else "h"
        if len(parts) != len(kinds):
            raise ModelError(
                f"initial= returned {len(parts)} tensor(s) for the initial state; "
                f"{'an LSTM takes (h0, c0)' if self._is_lstm else 'a GRU takes h0'}"
            )
        state: Tensors = {}
        wanted = (len(self.layers), vectors.shape[0], self._hidden)
        for kind, part in zip(kinds, parts, strict=True):
            stacked = part.unsqueeze(0) if part.dim() == 2 else part
            if tuple(stacked.shape) != wanted:
                raise ModelError(
                    f"initial= returned {kind}0 of shape {tuple(part.shape)}; it must be (layers, images, "
                    f"hidden) = {wanted}"
                )
            state |= {f"{kind}{number}": stacked[number] for number in range(len(self.layers))}
        return state


def _embedding_width(embedding: nn.Module) -> int:
    """E, found by embedding word 0."""
    with torch.no_grad():
        return int(embedding(torch.zeros(1, 1, dtype=torch.int64)).shape[-1])
