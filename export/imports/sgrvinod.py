"""Layout ``sgrvinod``: a-PyTorch-Tutorial-to-Image-Captioning.

Show, Attend and Tell (Xu et al. 2015): a ResNet whose grid is pooled to 14 × 14, additive attention through
a ReLU, a gate on the context, one LSTM cell. Its training pickles whole modules, which are refused; what is
read are their state dicts, as ``{"encoder": ..., "decoder": ...}``. Captions are searched as its
``caption.py`` does: without a length penalty.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from cnnrnn.core.errors import CheckpointError
from cnnrnn.core.manifest import ImageSpec, SearchDefaults
from cnnrnn.core.tokenizer import END, PAD, START, UNKNOWN
from cnnrnn.export.cells import LayerWeights, RecurrentLayer
from cnnrnn.export.imports.checkpoint_file import read_tensors
from cnnrnn.export.imports.fitting import Shape, Source, fit
from cnnrnn.export.imports.imported import IMAGENET_MEAN, IMAGENET_STD, Imported, ImportOptions
from cnnrnn.export.imports.linear import linear
from cnnrnn.export.imports.resnet import GridPool, grid_of, plan_resnet
from cnnrnn.export.imports.vocabulary import Vocabulary, read_json, words_by_id
from cnnrnn.export.protocol import Tensors

SAVE = (
    "torch.save({'encoder': checkpoint['encoder'].state_dict(), "
    "'decoder': checkpoint['decoder'].state_dict()}, 'state.pt')"
)
GRID = (14, 14)
IMAGE = ImageSpec(256, 256, IMAGENET_MEAN, IMAGENET_STD, "stretch")
SEARCH = SearchDefaults(beams=5, max_beams=5, max_length=51, min_length=0, length_penalty=0.0)

_ENCODER, _DECODER = "encoder.resnet.", "decoder."
# An nn.Sequential of a torchvision ResNet's children; those without tensors have numbers too.
_CHILDREN = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}
_NEEDED: dict[str, Shape] = {
    "embedding.weight": ("V", "E"),
    "decode_step.weight_hh": ("4H", "H"),
    "attention.encoder_att.weight": ("A", "D"),
    "attention.encoder_att.bias": ("A",),
    "attention.decoder_att.weight": ("A", "H"),
    "attention.decoder_att.bias": ("A",),
    "attention.full_att.weight": (1, "A"),
    "attention.full_att.bias": (1,),
    "decode_step.weight_ih": ("4H", "E+D"),
    "decode_step.bias_ih": ("4H",),
    "decode_step.bias_hh": ("4H",),
    "init_h.weight": ("H", "D"),
    "init_h.bias": ("H",),
    "init_c.weight": ("H", "D"),
    "init_c.bias": ("H",),
    "f_beta.weight": ("D", "H"),
    "f_beta.bias": ("D",),
    "fc.weight": ("V", "H"),
    "fc.bias": ("V",),
}


def load(checkpoint: Path, options: ImportOptions) -> Imported:
    """Read a checkpoint and its word map.

    Args:
        options: ``vocabulary`` is the ``WORDMAP_*.json``, ``grid`` twice the ``encoded_image_size``.

    Raises:
        OptionsError: a file does not exist.
        CheckpointError: a file cannot be read, or they do not fit each other.
    """
    assert options.vocabulary is not None, "the layout needs it"
    vocabulary = _word_map(options.vocabulary)
    given = read_tensors(checkpoint, SAVE)
    where = str(checkpoint)
    if (words := given.get("decoder.embedding.weight")) is not None:
        vocabulary.check_rows(words.shape[0], "decoder.embedding.weight", where)
    plan = plan_resnet(_by_torchvision(given), f"{where}, under {_ENCODER},")
    fitted = fit(
        {
            **{_DECODER + name: shape for name, shape in _NEEDED.items()},
            **{_numbered(name): shape for name, shape in plan.needed.items()},
        },
        given,
        Source(
            where, "Give the state dicts of this program's Encoder and DecoderWithAttention, or --as keys."
        ),
        optional=[_numbered(name) for name in plan.optional],
    )
    if fitted.sizes["D"] != plan.channels:
        raise CheckpointError(
            f"{where}: the encoder gives {plan.channels} features a position and the decoder takes "
            f"{fitted.sizes['D']}; they are of two models"
        )
    image, grid = options.image(IMAGE), options.grid or GRID
    network = plan.load(_by_torchvision(fitted.tensors))
    pool = GridPool(grid_of(network, image.height, image.width), grid)
    model = AttendCaptioner(nn.Sequential(network, pool), fitted.under(_DECODER), vocabulary).eval()
    return Imported(model, vocabulary.tokenizer(), image, SEARCH, grid, {"sizes": fitted.sizes})


class AttendCaptioner(nn.Module):
    """The program's encoder and decoder as `cnnrnn.export.CaptionModel` has them.

    Args:
        grid: image (B, 3, H, W) to features (B, D, rows, columns).
        weights: the decoder's tensors, by its own names.
        vocabulary: whose rows are added.
    """

    def __init__(self, grid: nn.Module, weights: Mapping[str, Tensor], vocabulary: Vocabulary) -> None:
        super().__init__()
        self.grid = grid
        self.key = linear(weights, "attention.encoder_att")
        self.query = linear(weights, "attention.decoder_att")
        self.score = linear(weights, "attention.full_att")
        self.initial_h, self.initial_c = linear(weights, "init_h"), linear(weights, "init_c")
        self.gate = linear(weights, "f_beta")
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        self.cell = RecurrentLayer(LayerWeights(True, *(weights[f"decode_step.{name}"] for name in names)), 0)
        self.embedding = vocabulary.embedding(weights["embedding.weight"])
        self.output = vocabulary.output(weights["fc.weight"], weights["fc.bias"])

    def encode(self, image: Tensor) -> Tensors:
        """``keys`` (B, P, A), ``values`` (B, P, D) and their mean ``pooled`` (B, D)."""
        values = self.grid(image).flatten(2).transpose(1, 2)
        return {"keys": self.key(values), "values": values, "pooled": values.mean(1)}

    def initial_state(self, memory: Tensors) -> Tensors:
        """``h`` and ``c``, each (B, H)."""
        return {"h": self.initial_h(memory["pooled"]), "c": self.initial_c(memory["pooled"])}

    def step(self, tokens: Tensor, state: Tensors, memory: Tensors) -> tuple[Tensor, Tensors, Tensor]:
        """Logits (B, K, V), the next state, and the alignment (B, K, P)."""
        hidden = state["h"]
        energy = torch.relu(memory["keys"].unsqueeze(1) + self.query(hidden).unsqueeze(2))
        alignment = torch.softmax(self.score(energy).squeeze(-1), -1)
        context = torch.sigmoid(self.gate(hidden)) * (alignment @ memory["values"])
        entering = torch.cat((self.embedding(tokens), context), -1)
        hidden, cell = self.cell(entering, hidden, state["c"], None)
        return self.output(hidden), {"h": hidden, "c": cell}, alignment


def _word_map(path: Path) -> Vocabulary:
    words = words_by_id(read_json(path, "the WORDMAP_*.json of create_input_files.py"), str(path))
    special = {token: words.index(token) for token in (PAD, START, END, UNKNOWN) if token in words}
    if START not in special or END not in special:
        raise CheckpointError(
            f"{path} lacks {START} or {END}; give the WORDMAP_*.json of create_input_files.py"
        )
    return Vocabulary.of(words, special, str(path))


def _numbered(name: str) -> str:
    """torchvision's name of a tensor as the program has it."""
    head, dot, rest = name.partition(".")
    return f"{_ENCODER}{_CHILDREN[head]}{dot}{rest}"


def _by_torchvision(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder's tensors by torchvision's names."""
    children = {number: name for name, number in _CHILDREN.items()}
    found = {}
    for name, tensor in tensors.items():
        head, dot, rest = name.removeprefix(_ENCODER).partition(".")
        if name.startswith(_ENCODER) and head in children:
            found[children[head] + dot + rest] = tensor
    return found
