"""The captioners of ImageCaptioning.pytorch: which tensors each has, and each as a `CaptionModel`.

``show_tell`` is Show and Tell (Vinyals et al. 2015); ``fc``, ``newfc``, ``att2in`` and ``att2in2`` are those
of Self-Critical Sequence Training (Rennie et al. 2017), whose LSTM has a maxout in the place of tanh;
``updown`` is Anderson et al. 2018, here over a ResNet's grid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cnnrnn.core.errors import CheckpointError
from cnnrnn.export.imports.fitting import Fitted, Shape
from cnnrnn.export.imports.linear import linear
from cnnrnn.export.imports.maxout import MaxoutAttentionCaptioner, MaxoutCaptioner
from cnnrnn.export.imports.up_down import UpDownCaptioner
from cnnrnn.export.imports.vocabulary import Vocabulary
from cnnrnn.export.rnn import wrap_rnn

Number = Callable[[str, int], int]


class Features(nn.Module):
    """The program's two kinds of features, of a picture in the place of a file.

    Args:
        trunk: image (B, 3, H, W) to a grid (B, D, h, w).
        pool: that grid to (B, D, rows, columns).
        unit: whether each position's features are divided by their length, its ``norm_att_feat``.
    """

    def __init__(self, trunk: nn.Module, pool: nn.Module, unit: bool) -> None:
        super().__init__()
        self.trunk, self.pool, self.unit = trunk, pool, unit

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """``fc`` (B, D) and ``att`` (B, P, D)."""
        grid = self.trunk(image)
        att = self.pool(grid).flatten(2).transpose(1, 2)
        if self.unit:
            att = att / att.square().sum(-1, keepdim=True).sqrt()
        return grid.mean((2, 3)), att


@dataclass(frozen=True)
class Kind:
    """One ``caption_model``.

    Attributes:
        needed: from the training's options, by name and default, to its tensors; the embedding first.
        build: its model.
        reads: which features it takes: ``"fc"``, ``"att"``, whose positions it looks at, or both.
    """

    needed: Callable[[Number], dict[str, Shape]]
    build: Callable[[Features, Fitted, Vocabulary], nn.Module]
    reads: tuple[str, ...]


def _layer(name: str, rows: Any, columns: Any) -> dict[str, Shape]:
    return {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}


def _attention(name: str) -> dict[str, Shape]:
    return {**_layer(f"{name}.h2att", "A", "H"), **_layer(f"{name}.alpha_net", 1, "A")}


def _maxout(name: str) -> dict[str, Shape]:
    return {**_layer(f"{name}.h2h", "5H", "H"), **_layer(f"{name}.i2h", "5H", "E")}


def _cell(name: str, entering: str) -> dict[str, Shape]:
    return {
        f"{name}.weight_hh": ("4H", "H"),
        f"{name}.weight_ih": ("4H", entering),
        f"{name}.bias_ih": ("4H",),
        f"{name}.bias_hh": ("4H",),
    }


def _embedded(use_bn: int) -> dict[str, Shape]:
    """``att_embed``: normalisation where there is one, a layer, a ReLU, dropout, normalisation again."""
    norm = ("weight", "bias", "running_mean", "running_var")
    first = 1 if use_bn else 0
    found = _layer(f"att_embed.{first}", "H", "D")
    if use_bn:
        found |= {f"att_embed.0.{name}": ("D",) for name in norm}
        found["att_embed.0.num_batches_tracked"] = ()
    if use_bn == 2:
        found |= {f"att_embed.4.{name}": ("H",) for name in norm}
        found["att_embed.4.num_batches_tracked"] = ()
    return found


def _show_tell(number: Number) -> dict[str, Shape]:
    needed: dict[str, Shape] = {"embed.weight": ("V", "E"), **_layer("logit", "V", "H")}
    needed |= _layer("img_embed", "E", "F")
    for layer in range(number("num_layers", 1)):
        needed[f"core.weight_ih_l{layer}"] = ("G", "H" if layer else "E")
        needed[f"core.weight_hh_l{layer}"] = ("G", "H")
    return needed


def _fc(image: str, core: str) -> Callable[[Number], dict[str, Shape]]:
    return lambda number: {
        "embed.weight": ("V", "E"),
        **_layer("logit", "V", "H"),
        **_layer(image, "E", "F"),
        **_maxout(core),
    }


def _att2in(number: Number) -> dict[str, Shape]:
    return {
        "embed.weight": ("V", "E"),
        **_layer("logit", "V", "H"),
        **_layer("ctx2att", "A", "D"),
        **_maxout("core"),
        **_layer("core.a2c", "2H", "D"),
        **_attention("core.attention"),
    }


def _att2in2(number: Number) -> dict[str, Shape]:
    return {
        "embed.0.weight": ("V", "E"),
        **_layer("logit", "V", "H"),
        **_embedded(number("use_bn", 0)),
        **_layer("ctx2att", "A", "H"),
        **_maxout("core"),
        **_layer("core.a2c", "2H", "H"),
        **_attention("core.attention"),
    }


def _updown(number: Number) -> dict[str, Shape]:
    return {
        "embed.0.weight": ("V", "E"),
        **_layer("logit", "V", "H"),
        **_layer("fc_embed.0", "H", "F"),
        **_embedded(number("use_bn", 0)),
        **_layer("ctx2att", "A", "H"),
        **_cell("core.att_lstm", "2H+E"),
        **_cell("core.lang_lstm", "2H"),
        **_attention("core.attention"),
    }


def _build_show_tell(features: Features, fitted: Fitted, vocabulary: Vocabulary) -> nn.Module:
    weights, sizes = fitted.tensors, fitted.sizes
    kinds: Mapping[int, type[nn.LSTM] | type[nn.GRU]] = {4: nn.LSTM, 3: nn.GRU}
    gates = sizes["G"] // sizes["H"]
    if sizes["G"] % sizes["H"] or gates not in kinds:
        raise CheckpointError(
            f"core.weight_hh_l0 has {sizes['G']} rows for {sizes['H']} hidden values; an LSTM has four times "
            "as many, a GRU three times, and no other rnn_type is read"
        )
    core = fitted.under("core.")
    with torch.device("meta"):
        rnn = kinds[gates](sizes["E"], sizes["H"], len(core) // 2, bias=False)
    rnn.load_state_dict(core, assign=True)
    encoder = _Described(features, linear(weights, "img_embed"))
    embedding = vocabulary.embedding(weights["embed.weight"])
    output = vocabulary.output(weights["logit.weight"], weights["logit.bias"])
    return wrap_rnn(encoder, embedding, rnn, output, features="first_input")


class _Described(nn.Module):
    """A picture as the embedding of a word."""

    def __init__(self, features: Features, embedding: nn.Module) -> None:
        super().__init__()
        self.features, self.embedding = features, embedding

    def forward(self, image: Tensor) -> Tensor:
        described: Tensor = self.embedding(self.features(image)[0])
        return described


MODELS = {
    "show_tell": Kind(_show_tell, _build_show_tell, ("fc",)),
    "fc": Kind(
        _fc("img_embed", "core"),
        lambda *parts: MaxoutCaptioner(*parts, image="img_embed", core="core"),
        ("fc",),
    ),
    "newfc": Kind(
        _fc("fc_embed", "_core"),
        lambda *parts: MaxoutCaptioner(*parts, image="fc_embed", core="_core"),
        ("fc",),
    ),
    "att2in": Kind(_att2in, MaxoutAttentionCaptioner, ("att",)),
    "att2in2": Kind(_att2in2, MaxoutAttentionCaptioner, ("att",)),
    "updown": Kind(_updown, UpDownCaptioner, ("fc", "att")),
}
