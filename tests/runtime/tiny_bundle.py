"""A whole bundle of random weights, written with onnx alone: an attention decoder in a dozen nodes."""

from __future__ import annotations

import json

import numpy as np

from cnnrnn.core.manifest import GraphSpec, ImageSpec, Manifest, SearchDefaults, TensorSpec, VocabularySpec
from cnnrnn.runtime.onnx_graph import FLOAT32, GraphWriter
from cnnrnn.runtime.select import SelectKind, make_select, select_spec

SIDE, GRID, FEATURES, HIDDEN = 32, 4, 6, 12
POSITIONS = GRID * GRID
WORDS = ["<pad>", "<start>", "<end>", "<unk>", *(f"word{index}" for index in range(20))]

ENCODER = GraphSpec(
    "fp32/encoder.onnx",
    (TensorSpec("image", "uint8", ("B", SIDE, SIDE, 3)),),
    (
        TensorSpec("memory_features", "float32", ("B", POSITIONS, FEATURES)),
        TensorSpec("state_hidden", "float32", ("B", HIDDEN)),
    ),
)
STEP = GraphSpec(
    "fp32/step.onnx",
    (
        TensorSpec("tokens", "int32", ("B", "K")),
        TensorSpec("parents", "int32", ("B", "K")),
        TensorSpec("state_hidden", "float32", ("B", "K", HIDDEN)),
        TensorSpec("memory_features", "float32", ("B", POSITIONS, FEATURES)),
    ),
    (
        TensorSpec("logits", "float32", ("B", "K", len(WORDS))),
        TensorSpec("next_state_hidden", "float32", ("B", "K", HIDDEN)),
        TensorSpec("alignment", "float32", ("B", "K", POSITIONS)),
    ),
)


class Weights:
    """Random constants of one graph, the same each time."""

    def __init__(self, graph: GraphWriter, seed: int) -> None:
        self.graph, self.random = graph, np.random.default_rng(seed)

    def __call__(self, *shape: int, scale: float = 1.0) -> str:
        return self.graph.constant(self.random.normal(size=shape) * scale, "float32")


def encoder() -> bytes:
    """Each cell of the grid, averaged and projected, is a position; their mean starts the state."""
    graph = GraphWriter()
    weight = Weights(graph, 1)
    pixels = graph.op("Cast", "image", to=FLOAT32)
    centred = graph.op(
        "Sub", graph.op("Div", pixels, graph.constant(64, "float32")), graph.constant(2, "float32")
    )
    cell = SIDE // GRID
    cells = graph.op(
        "ReduceMean",
        graph.op("Reshape", centred, graph.constant([0, GRID, cell, GRID, cell * 3], "int64")),
        axes=[2],
        keepdims=0,
    )
    flat = graph.op("Reshape", cells, graph.constant([0, POSITIONS, cell * 3], "int64"))
    features = graph.op("MatMul", flat, weight(cell * 3, FEATURES, scale=0.5))
    graph.op("Tanh", features, name="memory_features")
    mean = graph.op("ReduceMean", features, axes=[1], keepdims=0)
    graph.op("Tanh", graph.op("MatMul", mean, weight(FEATURES, HIDDEN, scale=3)), name="state_hidden")
    return graph.model("encoder", ENCODER.inputs, ENCODER.outputs)


def step() -> bytes:
    """Gather by parents, attend, one tanh cell, logits."""
    graph = GraphWriter()
    weight = Weights(graph, 2)
    width = graph.op("Gather", graph.op("Shape", "state_hidden"), graph.constant([1], "int64"), axis=0)
    places = graph.op("Cast", graph.op("Unsqueeze", "parents", graph.constant([2], "int64")), to=7)
    target = graph.op(
        "Concat", graph.constant([1], "int64"), width, graph.constant([HIDDEN], "int64"), axis=0
    )
    hidden = graph.op("GatherElements", "state_hidden", graph.op("Expand", places, target), axis=1)
    query = graph.op("MatMul", hidden, weight(HIDDEN, FEATURES))
    keys = graph.op("Transpose", "memory_features", perm=[0, 2, 1])
    alignment = graph.op("Softmax", graph.op("MatMul", query, keys), name="alignment", axis=-1)
    context = graph.op("MatMul", alignment, "memory_features")
    word = graph.op("Gather", weight(len(WORDS), HIDDEN), "tokens")
    carried = graph.op("MatMul", hidden, weight(HIDDEN, HIDDEN, scale=0.5))
    seen = graph.op("MatMul", context, weight(FEATURES, HIDDEN, scale=2))
    mixed = graph.op("Add", graph.op("Add", carried, seen), word)
    graph.op("Tanh", mixed, name="next_state_hidden")
    logits = graph.op("MatMul", "next_state_hidden", weight(HIDDEN, len(WORDS), scale=0.5))
    bias = np.zeros(len(WORDS))
    bias[[0, 1, 3]] = -20
    bias[2] = 3
    graph.op("Add", logits, graph.constant(bias, "float32"), name="logits")
    return graph.model("step", STEP.inputs, STEP.outputs)


def tokenizer_json() -> str:
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

    backend = Tokenizer(
        models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>")
    )
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.add_special_tokens([AddedToken(word, special=True) for word in WORDS[:4]])
    return json.dumps(json.loads(backend.to_str()))


def manifest(widths: tuple[int, ...] = (1, 3, 5)) -> Manifest:
    return Manifest(
        name="tiny",
        summary="random weights",
        license="Apache-2.0",
        image=ImageSpec(SIDE, SIDE, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
        vocabulary=VocabularySpec(len(WORDS), 0, 1, (2,), 3),
        search=SearchDefaults(beams=3, max_beams=5, max_length=8),
        precisions={"fp32": {"encoder": ENCODER, "step": STEP}},
        select={f"beam{k}": select_spec(f"select/beam{k}.onnx", SelectKind(k)) for k in widths},
        alignment_grid=(GRID, GRID),
    )


def files(widths: tuple[int, ...] = (1, 3, 5)) -> dict[str, bytes]:
    graphs = {f"select/beam{k}.onnx": make_select(SelectKind(k)) for k in widths}
    return {
        "tokenizer.json": tokenizer_json().encode(),
        ENCODER.file: encoder(),
        STEP.file: step(),
        **graphs,
    }
