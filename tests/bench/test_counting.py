"""Multiplications counted off a profile, beside those that onnx's shape inference gives."""

from __future__ import annotations

import math
from typing import Any

import onnx
import pytest
from onnx import numpy_helper, shape_inference

from cnnrnn.bench.counting import count, multiplications
from cnnrnn.core.bundle import Bundle
from cnnrnn.core.samples import sample_pictures

BEAMS = 3


def shapes_of(graph: onnx.GraphProto) -> dict[str, list[int]]:
    values = [*graph.value_info, *graph.input, *graph.output]
    found = {
        value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in values
    }
    return {**found, **{tensor.name: list(tensor.dims) for tensor in graph.initializer}}


def by_shape_inference(data: bytes, sizes: dict[str, int]) -> int:
    model = onnx.load_model_from_string(data)
    for value in model.graph.input:
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param:
                dimension.dim_value = sizes[dimension.dim_param]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    inferred = shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = shapes_of(inferred)
    total = 0
    for node in inferred.node:
        made = shapes[node.output[0]]
        if node.op_type == "Conv":
            total += math.prod(made) * math.prod(shapes[node.input[1]][1:])
        elif node.op_type == "MatMul":
            total += math.prod(made) * shapes[node.input[0]][-1]
        elif node.op_type == "Gemm":
            flipped = any(entry.name == "transA" and entry.i for entry in node.attribute)
            total += math.prod(made) * shapes[node.input[0]][0 if flipped else -1]
    return total


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_counts_of_a_shipped_bundle(precision: str) -> None:
    bundle = Bundle.open("emoji")
    picture = sample_pictures()[0]
    costs = count(bundle, precision, 1, lambda model: model(picture, beams=BEAMS))
    for stage, cost in costs.items():
        file = bundle.manifest.precisions[precision][stage].file
        assert cost.multiplications == by_shape_inference(bundle.graph(file), {"B": 1, "K": BEAMS}), stage
        assert cost.nodes >= 20
        assert sum(cost.operators.values()) > 0
        model = onnx.load_model_from_string(bundle.graph(file))
        constants = sum(numpy_helper.to_array(tensor).nbytes for tensor in model.graph.initializer)
        assert (
            0.3 * constants < cost.weight_bytes < 2.1 * constants
        )  # fp16's may be widened when they are loaded


@pytest.mark.parametrize(
    ("name", "given", "made", "expected"),
    [
        ("Conv", [[1, 8, 6, 6], [16, 8, 3, 3], [16]], [1, 16, 6, 6], 16 * 36 * 72),
        ("Conv", [[1, 8, 6, 6], [8, 1, 3, 3]], [1, 8, 6, 6], 8 * 36 * 9),
        ("QLinearConv", [[1, 8, 6, 6], [], [], [16, 8, 3, 3]], [1, 16, 6, 6], 16 * 36 * 72),
        ("MatMul", [[2, 5, 7], [7, 11]], [2, 5, 11], 2 * 5 * 7 * 11),
        ("FusedMatMul", [[4, 5, 7], [4, 11, 7]], [4, 5, 11], 4 * 5 * 7 * 11),
        ("Gemm", [[7, 5], [7, 11], [11]], [5, 11], 5 * 7 * 11),
        ("Relu", [[3, 3]], [3, 3], 0),
    ],
)
def test_kinds_of_kernels(name: str, given: list[list[int]], made: list[int], expected: int) -> None:
    kernel: dict[str, Any] = {
        "op_name": name,
        "input_type_shape": [{"float": shape} for shape in given],
        "output_type_shape": [{"float": made}],
    }
    assert multiplications(kernel) == expected
