"""Graphs stay as small as they are: no more Cast nodes, TensorRT layers and kernels than ``rigs/layers.json``
has of each, nor layers so much fewer that the limit holds nothing; and cells are matrix products and
activations that TensorRT fuses."""

from __future__ import annotations

from dataclasses import replace

import onnx
import pytest
from onnx import TensorProto, helper

from tests.captioner_grid import EVERY, VALID, CaptionerGrid, Options, named
from tests.engine.rigs import layers
from tests.engine.rigs.compiler import Compiler
from tests.engine.rigs.graphs import BEAMS, PRECISIONS, Graph, model_graphs, select_graphs

LIMITS = layers.read_limits()
RECURRENT = {"LSTM", "GRU", "RNN", "Loop", "Scan", "If"}
ACTIVATIONS = ("Sigmoid", "Tanh")


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("options", EVERY, ids=named)
def test_captioner(
    options: Options, precision: str, captioner_grid: CaptionerGrid, compiler: Compiler
) -> None:
    graphs = model_graphs(captioner_grid.exported(options).folder, precision)
    _check(layers.count(graphs, compiler), f"{named(options)}/{precision}")
    _check_fused(graphs[1], compiler)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "precision"), layers.every_captioner())
def test_shipped_bundle(name: str, precision: str, compiler: Compiler) -> None:
    if precision == "select":
        _check(layers.count(select_graphs(name), compiler), f"{name}/select")
        return
    graphs = model_graphs(name, precision)
    _check(layers.count(graphs, compiler), f"{name}/{precision}")
    _check_fused(graphs[1], compiler)


@pytest.mark.slow
def test_select(captioner_grid: CaptionerGrid, compiler: Compiler) -> None:
    """Which is the same for every captioner of a vocabulary."""
    folder = captioner_grid.exported(VALID[0]).folder
    _check(layers.count(select_graphs(folder, BEAMS), compiler), "grid/select")


def test_the_table_is_of_these_captioners() -> None:
    grid = {f"{named(options)}/{precision}" for options in EVERY for precision in PRECISIONS}
    shipped = {f"{name}/{precision}" for name, precision in layers.every_captioner()}
    assert set(LIMITS) == grid | shipped | {"grid/select"}


@pytest.mark.slow
def test_one_more_of_each_is_noticed(captioner_grid: CaptionerGrid, compiler: Compiler) -> None:
    folder = captioner_grid.exported(VALID[0]).folder
    step = model_graphs(folder, "fp32")[1]
    counted = layers.count([step], compiler)
    assert not layers.grown(counted, counted)

    model = onnx.load_from_string(step.model)
    for node in model.graph.node:
        node.output[:] = ["before" if name == "logits" else name for name in node.output]
    # Through another type and back, and a product that no kernel around it can take in.
    size = model.graph.output[0].type.tensor_type.shape.dim[2].dim_value
    model.graph.initializer.append(
        helper.make_tensor("more", TensorProto.FLOAT, (size, size), [0.5] * size**2)
    )
    model.graph.node.extend(
        [
            helper.make_node("Cast", ["before"], ["half"], to=TensorProto.FLOAT16),
            helper.make_node("Cast", ["half"], ["back"], to=TensorProto.FLOAT),
            helper.make_node("MatMul", ["back", "more"], ["product"]),
            helper.make_node("Softmax", ["product"], ["logits"]),
        ]
    )
    slower = layers.count([replace(step, model=model.SerializeToString())], compiler)
    found = layers.grown(slower, counted)
    assert [kind for kind in layers.KINDS if any(kind in line for line in found)] == list(layers.KINDS)
    assert layers.grown(counted, {}), "a graph without limits"


def test_a_limit_far_above_its_graph_is_noticed() -> None:
    limits = {"step": (2, 100, 20)}
    assert not layers.loose({"step": (0, 90, 1)}, limits)
    assert layers.loose({"step": (2, 89, 20)}, limits) == ["step: 89 layers, and 100 may be there"]
    assert not layers.loose({"encoder": (2, 89, 20)}, limits), "a graph without limits has grown"


def _check(counts: layers.Counts, key: str) -> None:
    limits = LIMITS.get(key, {})
    for what, found in (
        ("has grown; if it has to", layers.grown(counts, limits)),
        ("is smaller than its limits; regenerate them", layers.loose(counts, limits)),
    ):
        shown = "; ".join([*found[:4], *["..."] * (len(found) > 4)])
        assert not found, f"{key} {what}: python -m tests.engine.rigs.layers {key} ({shown})"


def _check_fused(step: Graph, compiler: Compiler) -> None:
    """No recurrent operator, and no activation that is a kernel of its own."""
    nodes = onnx.load_from_string(step.model).graph.node
    assert step.role == "step"
    assert not RECURRENT & {node.op_type for node in nodes}
    activations = {node.name for node in nodes if node.op_type in ACTIVATIONS}
    assert activations
    for outcome in compiler.compile(step.jobs()):
        kernels = [kernel["nodes"] for kernel in outcome.report["engine_layers"]]
        assert activations <= {node for kernel in kernels for node in kernel}
        assert not [kernel for kernel in kernels if len(kernel) == 1 and kernel[0] in activations]
