"""A lowered graph as a GPU computes it, for ONNX Runtime's CPU: float32 numbers, rounded after every
operator.

ONNX Runtime has few kernels for fp16 on a CPU and none for bf16. It computes the rest in float32, and what
it computes it need not round before the next operator: a number that overflows on a GPU passes there. Here
every tensor of the precision is a float32 tensor that holds only numbers of the precision, since a pair of
Casts rounds it. Sums inside an operator are float32, as they are in a GPU's matrix units.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper, numpy_helper

from cnnrnn.export.precision.lower import tensor_types
from cnnrnn.export.precision.rules import MOVING_OPERATORS

_LOW = (TensorProto.FLOAT16, TensorProto.BFLOAT16)


def explicit(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with float32 tensors whose every number is one of the precision.

    Args:
        proto: made by `cnnrnn.export.precision.lower.lower`; it is not changed.

    Returns:
        A graph with the same names of inputs, outputs and nodes, whose floats are float32.
    """
    types = tensor_types(proto)
    low = {name: kind for name, kind in types.items() if kind in _LOW}
    graph = onnx.GraphProto()
    graph.CopyFrom(proto.graph)
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    for tensor in proto.graph.initializer:
        graph.initializer.append(_widened(tensor) if tensor.name in low else tensor)
    for value in (*graph.input, *graph.output):
        if value.name in low:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for node in proto.graph.node:
        graph.node.extend(_rounding(node, low))
    return helper.make_model(graph, opset_imports=proto.opset_import, ir_version=proto.ir_version)


def _widened(tensor: onnx.TensorProto) -> onnx.TensorProto:
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype("float32"), tensor.name)


def _rounding(node: onnx.NodeProto, low: dict[str, int]) -> list[onnx.NodeProto]:
    """The node, and where its results are of the precision what rounds them."""
    made = onnx.NodeProto()
    made.CopyFrom(node)
    if node.op_type == "Cast" and (node.input[0] in low or node.output[0] in low):
        made = helper.make_node("Identity", [node.input[0]], [node.output[0]], name=node.name)
    if node.op_type in MOVING_OPERATORS:
        return [made]
    following = []
    for place, name in enumerate(node.output):
        if name in low:
            exact, short = f"{name}.exact", f"{name}.short"
            made.output[place] = exact
            following += [
                helper.make_node("Cast", [exact], [short], name=f"round/{name}", to=low[name]),
                helper.make_node("Cast", [short], [name], name=f"hold/{name}", to=TensorProto.FLOAT),
            ]
    return [made, *following]
