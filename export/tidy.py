"""A graph made fit to ship: fixed versions, stable names, no trace of the machine that wrote it, and checked.

ONNX Runtime 1.16 reads opset 19 and IR version 9; TensorRT 10.3's parser reads opset 20. Opset 18 with IR
version 8 is the lowest pair that torch's exporter writes and that keeps every operator as it is.
"""

from __future__ import annotations

import ast
import logging
from collections import Counter
from collections.abc import Sequence

import onnx
from onnx import TensorProto, helper

from cnnrnn.core.errors import ModelError
from cnnrnn.core.manifest import TensorSpec

_log = logging.getLogger(__name__)

OPSET = 18
IR_VERSION = 8

_ELEMENT_TYPES = {"uint8": TensorProto.UINT8, "int32": TensorProto.INT32, "float32": TensorProto.FLOAT}
_SCOPES = "pkg.torch.onnx.name_scopes"
_INDEXED = {"Gather": 1, "GatherElements": 1}
_REFUSED = {
    "If": "a branch that depends on data, which TensorRT cannot put into a step",
    "Loop": "a loop in the graph, which TensorRT cannot put into a step",
    "Scan": "a loop in the graph, which TensorRT cannot put into a step",
    "NonZero": "a shape that depends on data (x[mask], torch.nonzero, torch.where with one argument)",
    "Unique": "a shape that depends on data",
    "SequenceConstruct": "a list of tensors",
    "SplitToSequence": "a list of tensors",
    "RandomNormalLike": "a random number",
    "RandomUniformLike": "a random number",
    "Bernoulli": "a random number",
    "Multinomial": "a random number",
    "GRU": "nn.GRU, which torch's exporter writes with other equations (use wrap_rnn, or nn.GRUCell)",
}
_SLOW = {"LSTM": "nn.LSTM", "RNN": "nn.RNN"}


def tidy(
    proto: onnx.ModelProto, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
) -> onnx.ModelProto:
    """Finish a graph in place, and return it.

    Nodes are named after the module they came from (``decoder.attention/MatMul_1``), so that a parser's
    complaint can be traced to the model. Inputs that ``inputs`` does not list are removed: they are unused.

    Raises:
        ModelError: an operator that TensorRT cannot run, a double-precision tensor, or an input or output
            that is not what the specs say.
    """
    _check_operators(proto)
    _narrow_indices(proto.graph)
    _name_nodes(proto.graph)
    _name_outputs(proto.graph, [spec.name for spec in outputs])
    _set_interface(proto.graph, inputs, outputs)
    used = {name for node in proto.graph.node for name in node.input} | {spec.name for spec in outputs}
    kept = [tensor for tensor in proto.graph.initializer if tensor.name in used]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(sorted(kept, key=lambda tensor: tensor.name))
    _forget_origin(proto)
    try:
        onnx.checker.check_model(proto, full_check=True)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"the exported graph is not valid ONNX: {error}") from error
    except onnx.shape_inference.InferenceError as error:
        raise ModelError(f"the exported graph's shapes contradict the model's tensors: {error}") from error
    return proto


def graph_bytes(proto: onnx.ModelProto) -> bytes:
    """The same bytes for the same graph."""
    return proto.SerializeToString(deterministic=True)


def _check_operators(proto: onnx.ModelProto) -> None:
    for node in proto.graph.node:
        module = _module_of(node) or "the model"
        if node.op_type in _REFUSED:
            raise ModelError(f"{module} uses {node.op_type}: {_REFUSED[node.op_type]}; write it without")
        if node.domain not in ("", "ai.onnx"):
            raise ModelError(
                f"{module} uses {node.domain}::{node.op_type}, which is not ONNX; write it without"
            )
        to = [attribute.i for attribute in node.attribute if attribute.name == "to"]
        if node.op_type == "Cast" and to == [TensorProto.DOUBLE]:
            raise ModelError(f"{module} computes in float64; use float32, the widest that TensorRT has")
        if node.op_type in _SLOW:
            _log.warning(
                "%s is %s, which TensorRT before 10.14 runs in float32 only; use wrap_rnn or %sCell there",
                *(module, _SLOW[node.op_type], _SLOW[node.op_type]),
            )
    for tensor in proto.graph.initializer:
        if tensor.data_type == TensorProto.DOUBLE:
            raise ModelError(f"{tensor.name} is float64; convert the model with .float()")


def _narrow_indices(graph: onnx.GraphProto) -> None:
    """Let Gather take int32 indices as they are: torch wants int64 for an embedding, ONNX does not."""
    int32 = {value.name for value in graph.input if value.type.tensor_type.elem_type == TensorProto.INT32}
    uses: dict[str, list[tuple[onnx.NodeProto, int]]] = {}
    for node in graph.node:
        for place, name in enumerate(node.input):
            uses.setdefault(name, []).append((node, place))
    outputs = {value.name for value in graph.output}
    for cast in [node for node in graph.node if node.op_type == "Cast" and node.input[0] in int32]:
        name = cast.output[0]
        users = uses.get(name, [])
        if (
            name not in outputs
            and users
            and all(_INDEXED.get(node.op_type) == place for node, place in users)
        ):
            for node, place in users:
                node.input[place] = cast.input[0]
            graph.node.remove(cast)


def _name_nodes(graph: onnx.GraphProto) -> None:
    seen: Counter[str] = Counter()
    for node in graph.node:
        module = _module_of(node)
        name = f"{module}/{node.op_type}" if module else node.op_type
        node.name = f"{name}_{seen[name]}" if seen[name] else name
        seen[name] += 1


def _module_of(node: onnx.NodeProto) -> str:
    """The path of the module that a node came from, as the exporter noted it."""
    for entry in node.metadata_props:
        if entry.key == _SCOPES:
            scopes = ast.literal_eval(entry.value)[:-1]
            path = str(scopes[-1]) if scopes else ""
            return path.removeprefix("model").removeprefix("held").removeprefix(".")
    return ""


def _name_outputs(graph: onnx.GraphProto, wanted: Sequence[str]) -> None:
    """Give each output its name by position: a tensor that is two outputs has lost one of them."""
    wrong = {value.name for value, name in zip(graph.output, wanted, strict=True) if value.name != name}
    clashing = wrong | {name for name in wanted if name not in [value.name for value in graph.output]}
    fresh = {name: f"{name}.value" for name in clashing}
    for node in graph.node:
        node.input[:] = [fresh.get(name, name) for name in node.input]
        node.output[:] = [fresh.get(name, name) for name in node.output]
    for value, name in zip(graph.output, wanted, strict=True):
        if value.name in wrong:
            graph.node.append(
                helper.make_node("Identity", [fresh[value.name]], [name], name=f"output/{name}")
            )
            value.name = name


def _set_interface(
    graph: onnx.GraphProto, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
) -> None:
    """Compare inputs and outputs with the specs, then write them as the specs say."""
    for found, specs, kind in ((graph.input, inputs, "input"), (graph.output, outputs, "output")):
        values = {value.name: value for value in found}
        for spec in specs:
            value = values.get(spec.name)
            if value is None:
                raise ModelError(f"the exported graph has no {kind} {spec.name!r}; it has {sorted(values)}")
            _check_value(value.type.tensor_type, spec, kind)
        del found[:]
        found.extend(
            helper.make_tensor_value_info(spec.name, _ELEMENT_TYPES[spec.dtype], list(spec.shape))
            for spec in specs
        )


def _check_value(found: onnx.TypeProto.Tensor, spec: TensorSpec, kind: str) -> None:
    if found.elem_type != _ELEMENT_TYPES[spec.dtype]:
        told = helper.tensor_dtype_to_string(found.elem_type)
        raise ModelError(f"{kind} {spec.name!r} of the exported graph is {told}, not {spec.dtype}")
    for said, dim in zip(spec.shape, found.shape.dim, strict=False):
        if isinstance(said, str) and dim.HasField("dim_value"):
            raise ModelError(
                f"{kind} {spec.name!r} of the exported graph has {dim.dim_value} for {said}, whatever the "
                "number of images and beams: a size is written as a number; take it from tokens.shape"
            )


def _forget_origin(proto: onnx.ModelProto) -> None:
    """Remove stack traces, paths and the exporter's notes; fix the versions."""
    proto.ir_version = IR_VERSION
    proto.producer_name, proto.producer_version = "cnnrnn", ""
    proto.doc_string = proto.graph.doc_string = ""
    proto.graph.name = "main"
    del proto.metadata_props[:], proto.graph.metadata_props[:], proto.graph.value_info[:]
    for node in proto.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for tensor in proto.graph.initializer:
        tensor.doc_string = ""
        del tensor.metadata_props[:]
