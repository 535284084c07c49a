"""Lowered graphs are strongly typed, keep their islands, and are run as a GPU stores them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cnnrnn.core.errors import ModelError
from cnnrnn.core.onnx_weights import inline_weights
from cnnrnn.export.precision.lower import lower, tensor_types
from cnnrnn.export.precision.rounded import explicit
from cnnrnn.export.precision.share import share

FLOAT, HALF, BFLOAT = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16
WIDTH = 4


def graph(
    nodes: Sequence[onnx.NodeProto],
    weights: dict[str, Any],
    inputs: dict[str, int] | None = None,
    outputs: Sequence[str] = ("logits",),
) -> onnx.ModelProto:
    """A graph over rows of four numbers; nodes are named after what they make."""
    for node in nodes:
        node.name = f"the {node.output[0]}"
    given = inputs or {"state_h": FLOAT}
    made = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(name, kind, ["B", WIDTH]) for name, kind in given.items()],
        [helper.make_tensor_value_info(name, FLOAT, ["B", None]) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def node_of(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.name == f"the {name}")


def type_of(model: onnx.ModelProto, name: str) -> int:
    """The type in which a node computes."""
    return tensor_types(model)[node_of(model, name).output[0]]


def casts(model: onnx.ModelProto) -> int:
    return sum(node.op_type == "Cast" for node in model.graph.node)


def run(model: onnx.ModelProto, **inputs: NDArray[Any]) -> list[NDArray[Any]]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: list[NDArray[Any]] = session.run(None, inputs)
    return found


def product(given: str, made: str) -> onnx.NodeProto:
    return helper.make_node("MatMul", [given, "weight"], [made])


WEIGHT = np.linspace(-1, 1, WIDTH * WIDTH, dtype=np.float32).reshape(WIDTH, WIDTH)


@pytest.mark.parametrize(("precision", "kind"), [("fp16", HALF), ("bf16", BFLOAT)])
def test_weights_states_and_activations_are_lowered_and_the_searchs_numbers_not(
    precision: Any, kind: int
) -> None:
    model = lower(
        graph(
            [
                product("state_h", "mixed"),
                helper.make_node("Tanh", ["mixed"], ["next_state_h"]),
                helper.make_node("Softmax", ["next_state_h"], ["alignment"]),
                helper.make_node("MatMul", ["next_state_h", "weight"], ["logits"]),
            ],
            {"weight": WEIGHT},
            outputs=("logits", "next_state_h", "alignment"),
        ),
        precision,
    )
    types = tensor_types(model)
    assert {name: types[name] for name in ("state_h", "mixed", "next_state_h")} == {
        "state_h": kind,
        "mixed": kind,
        "next_state_h": kind,
    }
    assert (types["logits"], types["alignment"]) == (FLOAT, FLOAT)
    assert types[node_of(model, "mixed").input[1]] == kind
    assert [value.name for value in model.graph.output] == ["logits", "next_state_h", "alignment"]
    assert casts(model) == 2, "before softmax, and behind the logits"


def test_islands_stay_float32() -> None:
    nodes = [
        helper.make_node("LayerNormalization", ["state_h", "scale"], ["normal"]),
        helper.make_node("ReduceMean", ["normal"], ["mean"], keepdims=1),
        helper.make_node("Sub", ["normal", "mean"], ["centred"]),
        helper.make_node("Pow", ["centred", "two"], ["square"]),
        helper.make_node("Exp", ["square"], ["grown"]),
        helper.make_node("MatMul", ["grown", "weight"], ["logits"]),
    ]
    weights = {"scale": np.ones(WIDTH, np.float32), "two": np.float32(2), "weight": WEIGHT}
    model = lower(graph(nodes, weights), "fp16")
    found = {name: type_of(model, name) for name in ("normal", "mean", "square", "grown")}
    assert set(found.values()) == {FLOAT}
    assert type_of(model, "centred") == HALF


def test_pixels_stay_float32_up_to_the_first_weights() -> None:
    nodes = [
        helper.make_node("Cast", ["image"], ["number"], to=FLOAT),
        helper.make_node("Mul", ["number", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "shift"], ["pixel"]),
        product("pixel", "feature"),
        helper.make_node("Add", ["feature", "shift"], ["memory_keys"]),
    ]
    weights = {"scale": np.float32(1 / 58.4), "shift": np.float32(-2.1), "weight": WEIGHT}
    model = lower(graph(nodes, weights, {"image": TensorProto.UINT8}, ("memory_keys",)), "fp16")
    assert [type_of(model, name) for name in ("number", "scaled", "pixel")] == [FLOAT] * 3
    assert [type_of(model, name) for name in ("feature", "memory_keys")] == [HALF] * 2


@pytest.mark.parametrize(("constant", "kind"), [(1e-12, FLOAT), (1e5, FLOAT), (0.1, HALF), (0.0, HALF)])
def test_a_constant_that_the_precision_cannot_hold(constant: float, kind: int) -> None:
    nodes = [helper.make_node("Add", ["state_h", "constant"], ["sum"]), product("sum", "logits")]
    model = lower(graph(nodes, {"constant": np.float32(constant), "weight": WEIGHT}), "fp16")
    assert type_of(model, "sum") == kind


def test_a_bound_beyond_the_largest_number_is_that_number() -> None:
    nodes = [helper.make_node("Clip", ["state_h", "zero", "far"], ["clipped"]), product("clipped", "logits")]
    weights = {
        "zero": np.float32(0),
        "far": np.float32(np.finfo(np.float32).max),
        "weight": np.eye(WIDTH, dtype=np.float32),
    }
    model = lower(graph(nodes, weights), "fp16")
    assert type_of(model, "clipped") == HALF
    row = np.array([[-1, 1, 60000, np.inf]], np.float16)
    assert run(model, state_h=row)[0].tolist() == [[0, 1, 60000, 65504]]


def test_batch_normalisation_needs_no_variance_in_fp16() -> None:
    """A variance of 1e6 is infinite in fp16, and one of 1e-9 is nothing."""
    mean, variance = np.array([900, 0, -5, 0.1], np.float32), np.array([1e6, 1e-9, 4, 0.25], np.float32)
    weights = {
        "scale": np.array([1, 2, -1, 0.5], np.float32),
        "shift": np.array([0, 1, 2, 3], np.float32),
        "mean": mean,
        "variance": variance,
    }
    nodes = [
        helper.make_node(
            "BatchNormalization", ["state_h", *weights], ["next_state_h"], epsilon=1e-3, training_mode=0
        )
    ]
    full = graph(nodes, weights, outputs=("next_state_h",))
    rows = np.array([[1000, 0.001, 3, -1], [-800, -0.001, 0, 2]], np.float32)
    (wanted,) = run(full, state_h=rows)
    (found,) = run(lower(full, "fp16"), state_h=rows.astype(np.float16))
    assert np.abs(found - wanted).max() < 2e-3 * np.abs(wanted).max()
    kept = lower(full, "fp16", keep={"the next_state_h"})
    assert casts(kept) == 2
    assert np.abs(run(kept, state_h=rows.astype(np.float16))[0] - wanted).max() < 2e-3


def test_a_models_own_casts() -> None:
    nodes = [
        product("state_h", "mixed"),
        helper.make_node("Cast", ["mixed"], ["wide"], to=FLOAT),
        helper.make_node("Cast", ["wide"], ["whole"], to=TensorProto.INT32),
        helper.make_node("Cast", ["whole"], ["back"], to=FLOAT),
        helper.make_node("Add", ["wide", "back"], ["sum"]),
        product("sum", "logits"),
    ]
    full = graph(nodes, {"weight": np.eye(WIDTH, dtype=np.float32)})
    model = lower(full, "fp16")
    assert [type_of(model, name) for name in ("mixed", "wide", "sum")] == [HALF, FLOAT, HALF]
    row = np.array([[2.5, -1, 3, 0.25]], np.float32)
    assert run(model, state_h=row.astype(np.float16))[0].tolist() == run(full, state_h=row)[0].tolist()


def test_what_is_kept() -> None:
    nodes = [
        product("state_h", "mixed"),
        helper.make_node("Tanh", ["mixed"], ["next_state_h"]),
        product("next_state_h", "logits"),
    ]
    full = graph(nodes, {"weight": WEIGHT}, outputs=("logits", "next_state_h"))
    model = lower(full, "fp16", keep={"the mixed"})
    assert (type_of(model, "mixed"), type_of(model, "next_state_h")) == (FLOAT, HALF)
    shared = lower(full, "fp16", keep={"state_h", "next_state_h", "the mixed", "the next_state_h"})
    types = tensor_types(shared)
    assert (types["state_h"], types["next_state_h"]) == (FLOAT, FLOAT)
    assert [value.name for value in shared.graph.output] == ["logits", "next_state_h"]
    with pytest.raises(ModelError, match="called 'the mixde'"):
        lower(full, "fp16", keep={"the mixde"})


def test_an_output_that_is_read_again_in_another_type() -> None:
    nodes = [
        product("state_h", "next_state_h"),
        helper.make_node("Softmax", ["next_state_h"], ["alignment"]),
        helper.make_node("MatMul", ["alignment", "weight"], ["logits"]),
    ]
    full = graph(nodes, {"weight": WEIGHT}, outputs=("next_state_h", "alignment", "logits"))
    model = lower(full, "fp16")
    row = np.array([[0.5, -1, 2, 0.25]], np.float32)
    for wanted, found in zip(run(full, state_h=row), run(model, state_h=row.astype(np.float16)), strict=True):
        assert np.abs(wanted - found).max() < 2e-3


def test_weights_that_fp32_stores_as_fp16_are_the_same_bytes() -> None:
    narrow = np.linspace(-1, 1, 64 * WIDTH, dtype=np.float16).reshape(64, WIDTH).T
    nodes = [
        helper.make_node("Cast", ["weight.fp16"], ["weight"], to=FLOAT),
        product("state_h", "logits"),
    ]
    full = graph(nodes, {"weight.fp16": np.ascontiguousarray(narrow)})
    model = lower(full, "fp16")
    assert [node.op_type for node in model.graph.node] == ["MatMul", "Cast"], "no widening"
    stored = full.SerializeToString()
    shared = share(model, stored, "../fp32/step.onnx")
    (tensor,) = shared.graph.initializer
    assert tensor.data_location == TensorProto.EXTERNAL
    files = {"fp32/step.onnx": stored}
    whole = inline_weights(shared.SerializeToString(), "fp16", files.__getitem__)
    row = np.ones((1, WIDTH), np.float16)
    assert np.array_equal(run(onnx.load_from_string(whole), state_h=row)[0], run(model, state_h=row)[0])
    kept = lower(full, "fp16", keep={"the logits"})
    assert [node.op_type for node in kept.graph.node] == ["Cast", "Cast", "MatMul"]


def test_as_a_gpu_stores_it() -> None:
    """ONNX Runtime's own fp16 on a CPU need not overflow between operators; this does."""
    nodes = [
        helper.make_node("Mul", ["state_h", "state_h"], ["square"]),
        helper.make_node("Mul", ["square", "small"], ["less"]),
        helper.make_node("Add", ["less", "zero"], ["logits"]),
    ]
    weights = {"small": np.float32(2**-10), "zero": np.float32(0)}
    rounded = explicit(lower(graph(nodes, weights), "fp16"))
    types = tensor_types(rounded)
    assert (types["state_h"], types["logits"]) == (FLOAT, FLOAT)
    row = np.array([[300, 1 + 2**-9, 2, 2**-14]], np.float32)
    (found,) = run(rounded, state_h=row)
    half = row.astype(np.float16)
    with np.errstate(over="ignore"):
        wanted = (half * half) * np.float16(2**-10)
    assert np.isinf(wanted[0, 0])
    assert found.tolist() == wanted.astype(np.float32).tolist()


def test_the_bits_of_bf16() -> None:
    nodes = [helper.make_node("Mul", ["state_h", "one"], ["product"]), product("product", "logits")]
    weights = {"one": np.float32(1), "weight": np.eye(WIDTH, dtype=np.float32)}
    model = lower(graph(nodes, weights), "bf16")
    assert (model.opset_import[0].version, model.ir_version) == (22, 10)
    (found,) = run(explicit(model), state_h=np.array([[1 + 2**-9, 1 + 2**-7, 1e30, 3]], np.float32))
    assert found[0, :2].tolist() == [1, 1 + 2**-7]
    assert found[0, 2] == pytest.approx(1e30, rel=2**-8)
