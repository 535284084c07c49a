"""Small ONNX graphs that TensorRT refuses, or nearly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

X = ("x", TensorProto.FLOAT, ["B", 4])
SHAPES: dict[str, tuple[int, ...]] = {"x": (1, 4)}


def model(nodes: Sequence[NodeProto], inputs: Sequence[Any], output: Any, **constants: Any) -> bytes:
    """A graph of these nodes; inputs and output are name, type and shape."""
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(*item) for item in inputs],
        [helper.make_tensor_value_info(*output)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return made.SerializeToString()


def one(kind: str, output: Any, name: str = "", **attributes: Any) -> bytes:
    """One operator from ``x`` to ``y``, in the module ``decoder.mask``."""
    node = helper.make_node(kind, ["x"], ["y"], name=name or f"decoder.mask/{kind}", **attributes)
    return model([node], [X], ("y", *output))


def plain() -> bytes:
    """What every TensorRT takes."""
    return one("Relu", (TensorProto.FLOAT, ["B", 4]))


def unknown_operator() -> bytes:
    return one("Wild", (TensorProto.FLOAT, ["B", 4]))


def places_of_values() -> bytes:
    """Its output is as long as there are values that are not zero."""
    return one("NonZero", (TensorProto.INT64, [2, "N"]))


def shape_by_value() -> bytes:
    """An input says how the other is cut."""
    node = helper.make_node("Reshape", ["x", "s"], ["y"], name="decoder/Reshape")
    return model([node], [X, ("s", TensorProto.INT64, [2])], ("y", TensorProto.FLOAT, ["a", "b"]))


def mixed_types() -> bytes:
    """A float32 constant that is made, added to a float16 tensor."""
    nodes = [
        helper.make_node("ConstantOfShape", ["s"], ["z"], name="encoder/ConstantOfShape"),
        helper.make_node("Cast", ["x"], ["h"], name="encoder/Cast", to=TensorProto.FLOAT16),
        helper.make_node("Add", ["h", "z"], ["w"], name="encoder.cell/Add"),
        helper.make_node("MatMul", ["w", "m"], ["y"], name="encoder.cell/MatMul"),
    ]
    return model(
        nodes,
        [X],
        ("y", TensorProto.FLOAT16, ["B", 2]),
        s=np.array([1, 4]),
        m=np.ones((4, 2), np.float16),
    )


def product() -> bytes:
    node = helper.make_node("MatMul", ["x", "m"], ["y"], name="decoder.out/MatMul")
    return model([node], [X], ("y", TensorProto.FLOAT, ["B", 64]), m=np.ones((4, 64), np.float32))
