"""``updown`` of ImageCaptioning.pytorch: an LSTM that looks, and one that speaks (Anderson et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cnnrnn.export.cells import LayerWeights, RecurrentLayer
from cnnrnn.export.imports.fitting import Fitted
from cnnrnn.export.imports.grid_attention import GridAttention, embedded_grid
from cnnrnn.export.imports.linear import linear
from cnnrnn.export.imports.vocabulary import Vocabulary
from cnnrnn.export.protocol import Tensors


class UpDownCaptioner(nn.Module):
    """Names of memory and state: ``look`` is the first LSTM, ``speak`` the second.

    Args:
        features: image to ``fc`` (B, D) and ``att`` (B, P, D).
        fitted: the tensors.
        vocabulary: whose rows are added.
    """

    def __init__(self, features: nn.Module, fitted: Fitted, vocabulary: Vocabulary) -> None:
        super().__init__()
        weights = fitted.tensors
        self.hidden = fitted.sizes["H"]
        self.features = features
        self.described, self.grid = linear(weights, "fc_embed.0"), embedded_grid(fitted)
        self.attention = GridAttention(weights)
        self.look = RecurrentLayer(_looking(fitted), self.hidden)
        self.speak = RecurrentLayer(_lstm(fitted, "core.lang_lstm."), 0)
        self.embedding = vocabulary.embedding(weights["embed.0.weight"].relu())
        self.output = vocabulary.output(weights["logit.weight"], weights["logit.bias"])

    def encode(self, image: Tensor) -> Tensors:
        """``keys`` (B, P, A), ``values`` (B, P, H), and ``picture`` (B, 4H): its share of the first LSTM."""
        fc, att = self.features(image)
        assert self.look.from_picture is not None
        values = self.grid(att)
        picture = self.look.from_picture(torch.relu(self.described(fc)))
        return {"keys": self.attention.keys(values), "values": values, "picture": picture}

    def initial_state(self, memory: Tensors) -> Tensors:
        """``look_h``, ``look_c``, ``speak_h`` and ``speak_c`` (B, H), of zeros."""
        picture = memory["picture"]
        empty = picture.new_zeros(picture.shape[0], self.hidden)
        return {"look_h": empty, "look_c": empty, "speak_h": empty, "speak_c": empty}

    def step(self, tokens: Tensor, state: Tensors, memory: Tensors) -> tuple[Tensor, Tensors, Tensor]:
        """Logits (B, K, V), the next state, and the alignment (B, K, P)."""
        entering = torch.cat((self.embedding(tokens), state["speak_h"]), -1)
        picture = memory["picture"].unsqueeze(1)
        look_h, look_c = self.look(entering, state["look_h"], state["look_c"], picture)
        alignment = self.attention(look_h, memory["keys"])
        seen = torch.cat((alignment @ memory["values"], look_h), -1)
        speak_h, speak_c = self.speak(seen, state["speak_h"], state["speak_c"], None)
        following = {"look_h": look_h, "look_c": look_c, "speak_h": speak_h, "speak_c": speak_c}
        return self.output(speak_h), following, alignment


def _lstm(fitted: Fitted, name: str) -> LayerWeights:
    found = fitted.under(name)
    return LayerWeights(True, found["weight_ih"], found["weight_hh"], found["bias_ih"], found["bias_hh"])


def _looking(fitted: Fitted) -> LayerWeights:
    """The first LSTM reads (what was said, the picture, the word); here the picture comes last."""
    weights, hidden = _lstm(fitted, "core.att_lstm."), fitted.sizes["H"]
    columns = weights.w_input
    said, picture, word = columns[:, :hidden], columns[:, hidden : 2 * hidden], columns[:, 2 * hidden :]
    joined = torch.cat((word, said, picture), 1)
    return LayerWeights(True, joined, weights.w_hidden, weights.b_input, weights.b_hidden)
