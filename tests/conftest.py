"""A complete bundle of a few kilobytes that is right by construction, for what stands on the runtime.

Its model names the colour of a picture: "a red square", "a green square", "a blue square". The encoder is the
picture's mean colour; a step is a table from the last token to the next one's logits, to which the colour is
added after "a". Its attention looks at the upper left for the first word and goes on by one position a word.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from tests.captioner_grid import CaptionerGrid

# Before anything imports torch: networks as small as the tests' lose time to a second thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")

WORDS = ("<pad>", "<start>", "<end>", "<unk>", "a", "red", "green", "blue", "square")
SIDE = 8
GRID = (2, 2)
COLOURS_RGB = {"red": (230, 20, 20), "green": (20, 230, 20), "blue": (20, 20, 230)}


@pytest.fixture(scope="session")
def colour_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle's folder; it carries select graphs for 1 and 5 beams."""
    pytest.importorskip("onnx")
    from cnnrnn.core.bundle import write_bundle
    from cnnrnn.core.manifest import (
        GraphSpec,
        ImageSpec,
        Manifest,
        SearchDefaults,
        TensorSpec,
        VocabularySpec,
    )
    from cnnrnn.runtime.select import SelectKind, make_select, select_spec

    count, places = len(WORDS), GRID[0] * GRID[1]
    encoder = GraphSpec(
        "fp32/encoder.onnx",
        (TensorSpec("image", "uint8", ("B", SIDE, SIDE, 3)),),
        (TensorSpec("memory_colour", "float32", ("B", 3)), TensorSpec("state_age", "float32", ("B", 1))),
    )
    step = GraphSpec(
        "fp32/step.onnx",
        (
            TensorSpec("tokens", "int32", ("B", "K")),
            TensorSpec("parents", "int32", ("B", "K")),
            TensorSpec("state_age", "float32", ("B", "K", 1)),
            TensorSpec("memory_colour", "float32", ("B", 3)),
        ),
        (
            TensorSpec("logits", "float32", ("B", "K", count)),
            TensorSpec("next_state_age", "float32", ("B", "K", 1)),
            TensorSpec("alignment", "float32", ("B", "K", places)),
        ),
    )
    kinds = [SelectKind(beams, vocabulary=count) for beams in (1, 5)]
    selects = {kind: select_spec(f"select/{kind.name}.onnx", kind) for kind in kinds}
    manifest = Manifest(
        name="colours",
        summary="Names the colour of a picture.",
        license="Apache-2.0",
        image=ImageSpec(SIDE, SIDE, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        vocabulary=VocabularySpec(count, 0, 1, (2,), 3),
        search=SearchDefaults(beams=5, max_beams=5, max_length=8),
        precisions={"fp32": {"encoder": encoder, "step": step}},
        select={kind.name: spec for kind, spec in selects.items()},
        alignment_grid=GRID,
    )
    files = {
        "tokenizer.json": _tokenizer(),
        encoder.file: _encoder_graph(encoder),
        step.file: _step_graph(step),
        **{spec.file: make_select(kind) for kind, spec in selects.items()},
    }
    return write_bundle(tmp_path_factory.mktemp("bundles") / "colours", manifest, files).folder


@pytest.fixture(scope="session")
def captioner_grid(tmp_path_factory: pytest.TempPathFactory, torchlib_read_once: None) -> CaptionerGrid:
    """Every kind of captioner, each exported once, when it is first asked for."""
    pytest.importorskip("torch")
    from tests.captioner_grid import CaptionerGrid

    return CaptionerGrid(tmp_path_factory.mktemp("grid"))


@pytest.fixture(scope="session")
def torchlib_read_once() -> Iterator[None]:
    """Exports take less time; see `tests.torchlib`."""
    from tests.torchlib import read_once

    with read_once():
        yield


@pytest.fixture
def colour_pictures(tmp_path: Path) -> Path:
    """A folder with ``blue.png``, ``green.png`` and ``red.png``, 24 × 24."""
    cv2 = pytest.importorskip("cv2")
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, colour in COLOURS_RGB.items():
        cv2.imwrite(str(folder / f"{name}.png"), np.full((24, 24, 3), colour[::-1], np.uint8))
    return folder


def _tokenizer() -> bytes:
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {word: index for index, word in enumerate(WORDS)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(list(WORDS[:4]))
    return tokenizer.to_str().encode()


def _encoder_graph(spec: Any) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Div", ["mean", "white"], ["memory_colour"]),
        helper.make_node("ReduceSum", ["memory_colour", "channels"], ["sum"], keepdims=1),
        helper.make_node("Mul", ["sum", "nothing"], ["state_age"]),
    ]
    constants = {"white": np.float32(255.0), "channels": np.array([1], np.int64), "nothing": np.float32(0.0)}
    return _model(
        spec, nodes, [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    )


def _step_graph(spec: Any) -> bytes:
    from onnx import helper, numpy_helper

    count = len(WORDS)
    table = np.full((count, count), -4.0, np.float32)
    for last, following in (("<start>", "a"), ("red", "square"), ("green", "square"), ("blue", "square")):
        table[WORDS.index(last), WORDS.index(following)] = 6.0
    table[WORDS.index("square"), WORDS.index("<end>")] = 6.0
    told = np.zeros((count, 1), np.float32)
    told[WORDS.index("a")] = 10.0
    naming = np.zeros((3, count), np.float32)
    for channel, word in enumerate(COLOURS_RGB):
        naming[channel, WORDS.index(word)] = 1.0
    looks = np.full((count, GRID[0] * GRID[1]), 0.1, np.float32)
    for place, word in enumerate(("<start>", "a", "red", "square")):
        looks[WORDS.index(word), place] = 0.7
    for word in ("green", "blue"):
        looks[WORDS.index(word)] = looks[WORDS.index("red")]
    nodes = [
        helper.make_node("Unsqueeze", ["parents", "last"], ["parents_wide"]),
        helper.make_node("GatherElements", ["state_age", "parents_wide"], ["age"], axis=1),
        helper.make_node("Add", ["age", "one"], ["next_state_age"]),
        helper.make_node("Gather", ["table", "tokens"], ["usual"]),
        helper.make_node("Gather", ["told", "tokens"], ["telling"]),
        helper.make_node("MatMul", ["memory_colour", "naming"], ["named"]),
        helper.make_node("Unsqueeze", ["named", "second"], ["named_wide"]),
        helper.make_node("Mul", ["named_wide", "telling"], ["said"]),
        helper.make_node("Add", ["usual", "said"], ["logits"]),
        helper.make_node("Gather", ["looks", "tokens"], ["alignment"]),
    ]
    constants = {
        "table": table,
        "told": told,
        "naming": naming,
        "looks": looks,
        "one": np.float32(1.0),
        "last": np.array([2], np.int64),
        "second": np.array([1], np.int64),
    }
    return _model(
        spec, nodes, [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    )


def _model(spec: Any, nodes: list[Any], constants: list[Any]) -> bytes:
    from onnx import TensorProto, checker, helper

    kinds = {"uint8": TensorProto.UINT8, "int32": TensorProto.INT32, "float32": TensorProto.FLOAT}

    def tensors(specs: Any) -> list[Any]:
        return [helper.make_tensor_value_info(item.name, kinds[item.dtype], item.shape) for item in specs]

    graph = helper.make_graph(nodes, "colours", tensors(spec.inputs), tensors(spec.outputs), constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    return model.SerializeToString()
