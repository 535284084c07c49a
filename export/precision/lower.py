"""A strongly typed graph of a lower precision, made of an fp32 graph.

The types of the tensors say in which precision each node computes, as TensorRT's strongly typed networks
need it and ONNX Runtime reads it: `cnnrnn.export.precision.rules` decides for each node, and a Cast stands
where two parts meet. Node names are those of the fp32 graph, so that a complaint can be traced to the model
and a node be kept by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cnnrnn.core.errors import ModelError
from cnnrnn.export.precision.options import Precision
from cnnrnn.export.precision.rules import (
    BOUNDED_OPERATORS,
    ELEMENT_TYPES,
    FIXED_INPUTS,
    FLOAT32_OPERATORS,
    INTEGERS,
    MATRIX_OPERATORS,
    MOVING_OPERATORS,
    PIXEL_OPERATORS,
    holds,
    narrowed,
)

FLOAT = TensorProto.FLOAT

# What the search reads is float32 in every precision.
FLOAT32_OUTPUTS = frozenset({"logits", "alignment"})

# The first operator set and IR version in which convolutions and pooling know bfloat16.
_BF16_OPSET, _BF16_IR_VERSION = 22, 10


def lower(proto: onnx.ModelProto, precision: Precision, keep: Iterable[str] = frozenset()) -> onnx.ModelProto:
    """Lower a graph: weights, activations, states and memory; what must be float32 stays so.

    Args:
        proto: an fp32 graph of an export, its weights inside; it is not changed.
        precision: ``"fp16"`` or ``"bf16"``.
        keep: names of nodes that stay float32 beside those that the rules name, and of inputs and outputs
            (``"state_c0"``, ``"memory_values"``) that do.

    Returns:
        The graph; ``logits`` and ``alignment`` are float32, as the search needs them.

    Raises:
        ModelError: a name of ``keep`` is not in the graph, or the result is not valid ONNX.
    """
    return _Lowering(proto, precision, frozenset(keep)).model()


def tensor_types(proto: onnx.ModelProto) -> dict[str, int]:
    """The element type of every tensor of a graph, by ONNX's shape inference."""
    graph = onnx.shape_inference.infer_shapes(proto).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for value in (*graph.value_info, *graph.input, *graph.output):
        types[value.name] = value.type.tensor_type.elem_type
    return types


class _Lowering:
    def __init__(self, proto: onnx.ModelProto, precision: Precision, keep: frozenset[str]) -> None:
        self._source = proto
        self._precision = precision
        self._low = ELEMENT_TYPES[precision]
        self._keep = keep
        self._types = tensor_types(proto)
        self._constants = _Constants(proto)
        self._written: dict[str, int] = {}  # by tensor, the type in which it was made
        self._names: dict[tuple[str, int], str] = {}  # by tensor and type, what it is called
        self._pixels: set[str] = set()
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}

    def model(self) -> onnx.ModelProto:
        self._check_keep()
        inputs = [self._input(value) for value in self._source.graph.input]
        wanted = {value.name: self._output_type(value) for value in self._source.graph.output}
        for node in self._source.graph.node:
            if not self._constants.is_made_by(node):
                self._add(node, wanted)
        outputs = [self._output(value, wanted[value.name]) for value in self._source.graph.output]
        return self._finished(inputs, outputs)

    def _check_keep(self) -> None:
        graph = self._source.graph
        known = {entry.name for part in (graph.node, graph.input, graph.output) for entry in part}
        unknown = sorted(self._keep - known)
        if unknown:
            raise ModelError(
                f"no node, input or output of the graph is called {unknown[0]!r}, which is to stay float32"
            )

    def _input(self, value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
        return self._declared(value, FLOAT if value.name in self._keep else self._low)

    def _output_type(self, value: onnx.ValueInfoProto) -> int:
        return FLOAT if value.name in FLOAT32_OUTPUTS | self._keep else self._low

    def _declared(self, value: onnx.ValueInfoProto, float_type: int) -> onnx.ValueInfoProto:
        """An input or output in its new type; those that are no floats stay as they are."""
        made = onnx.ValueInfoProto()
        made.CopyFrom(value)
        if value.type.tensor_type.elem_type == FLOAT:
            made.type.tensor_type.elem_type = float_type
            self._written.setdefault(value.name, float_type)
        return made

    def _is_float(self, name: str) -> bool:
        return self._types.get(name) == FLOAT

    def _add(self, node: onnx.NodeProto, wanted: Mapping[str, int]) -> None:
        """Write a node in its type, with Casts before it where its inputs are in another."""
        compute = self._type_of(node)
        made = onnx.NodeProto()
        made.CopyFrom(node)
        fixed = FIXED_INPUTS.get(node.op_type, frozenset())
        if node.op_type == "BatchNormalization" and compute != FLOAT:
            made = self._folded_statistics(made)
        else:
            for place, name in enumerate(node.input):
                if name and self._is_float(name):
                    made.input[place] = self._in_type(
                        name, FLOAT if place in fixed else compute, bounded=node.op_type in BOUNDED_OPERATORS
                    )
        for place, name in enumerate(node.output):
            if self._is_float(name):
                self._written[name] = compute
                if wanted.get(name, compute) != compute:
                    made.output[place] = self._names[name, compute] = f"{name}.{_word(compute)}"
        self._nodes.append(made)

    def _type_of(self, node: onnx.NodeProto) -> int:
        """The float type in which a node computes; of one without floats nothing is asked."""
        floats = [name for name in node.input if name and self._is_float(name)]
        given = [name for name in floats if name not in self._constants]
        made = [name for name in node.output if self._is_float(name)]
        if node.op_type == "Cast" and made:
            if self._types.get(node.input[0]) in INTEGERS:
                self._pixels.update(made)
            return FLOAT
        if node.op_type in PIXEL_OPERATORS and given and self._pixels.issuperset(given):
            self._pixels.update(made)
            return FLOAT
        if node.name in self._keep or node.op_type in FLOAT32_OPERATORS or not floats:
            return FLOAT
        if FLOAT32_OUTPUTS.intersection(made) and node.op_type not in MATRIX_OPERATORS | MOVING_OPERATORS:
            return FLOAT
        if any(self._loses(name, node) for name in floats):
            return FLOAT
        moves = node.op_type in MOVING_OPERATORS or not made
        if moves and given and all(self._written[name] == FLOAT for name in given):
            return FLOAT
        return self._low

    def _loses(self, name: str, node: onnx.NodeProto) -> bool:
        """Whether an input is a single number that the precision cannot hold."""
        if name not in self._constants or node.op_type in BOUNDED_OPERATORS | {"BatchNormalization"}:
            return False
        number = self._constants.value(name)
        return number.size == 1 and not holds(self._precision, number)

    def _in_type(self, name: str, wanted: int, *, bounded: bool = False) -> str:
        """What a tensor is called in a type; a Cast or another initializer is added where it is not there."""
        if name in self._constants:
            return self._constant(name, wanted, bounded=bounded)
        own = self._written[name]
        known = self._names.get((name, wanted))
        if known is None and own == wanted:
            return name
        if known is None:
            known = self._names[name, wanted] = f"{name}.{_word(wanted)}"
            self._nodes.append(
                helper.make_node(
                    "Cast", [self._names.get((name, own), name)], [known], name=f"cast/{known}", to=wanted
                )
            )
        return known

    def _constant(self, name: str, wanted: int, *, bounded: bool) -> str:
        stored = self._constants.stored_as(name, wanted)
        if stored is not None:
            self._initializers[stored.name] = stored
            return stored.name
        widened = self._constants.stored_as(name, TensorProto.FLOAT16)
        if wanted == FLOAT and widened is not None:
            if name not in self._initializers:
                self._initializers[name] = widened
                self._nodes.append(
                    helper.make_node("Cast", [widened.name], [name], name=f"widen/{name}", to=FLOAT)
                )
            return name
        label = f"{name}.bounded.{_word(wanted)}" if bounded else f"{name}.{_word(wanted)}"
        if label not in self._initializers:
            value = narrowed(self._precision, self._constants.value(name), bounded=bounded)
            self._initializers[label] = numpy_helper.from_array(value, label)
        return label

    def _folded_statistics(self, node: onnx.NodeProto) -> onnx.NodeProto:
        """Batch normalisation with a mean of 0 and a variance of 1: fp16 need not hold a variance.

        Scale and shift take both in, in float64. It stays one node, which engines fold into the weights.
        """
        names = list(node.input[1:5])
        missing = [name for name in names if name not in self._constants]
        if missing:
            raise ModelError(f"{node.name}: {missing[0]!r} of its statistics is not a weight of the graph")
        scale, shift, mean, variance = (self._constants.value(name).astype(np.float64) for name in names)
        epsilon = next((entry.f for entry in node.attribute if entry.name == "epsilon"), 1e-5)
        factor = scale / np.sqrt(variance + epsilon)
        folded = (factor, shift - mean * factor, np.zeros_like(mean), np.ones_like(variance))
        for place, (name, value) in enumerate(zip(names, folded, strict=True), start=1):
            label = f"{name}.folded.{_word(self._low)}"
            array = narrowed(self._precision, value.astype(np.float32))
            self._initializers[label] = numpy_helper.from_array(array, label)
            node.input[place] = label
        node.input[0] = self._in_type(node.input[0], self._low)
        kept = [entry for entry in node.attribute if entry.name != "epsilon"]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("epsilon", 0.0)])
        return node

    def _output(self, value: onnx.ValueInfoProto, wanted: int) -> onnx.ValueInfoProto:
        """An output in its type, by a Cast where its node computes in another."""
        name = value.name
        if self._is_float(name):
            made = self._written[name]
            source = self._names.get((name, made), name)
            if source != name:
                before = self._names.get((name, wanted))
                self._nodes.append(
                    helper.make_node("Cast", [source], [name], name=f"cast/{name}", to=wanted)
                    if before is None
                    else helper.make_node("Identity", [before], [name], name=f"output/{name}")
                )
        return self._declared(value, wanted)

    def _finished(
        self, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]
    ) -> onnx.ModelProto:
        graph = helper.make_graph(
            self._nodes,
            self._source.graph.name,
            inputs,
            outputs,
            sorted(self._used(), key=lambda tensor: tensor.name),
        )
        model = helper.make_model(
            graph, opset_imports=self._source.opset_import, producer_name=self._source.producer_name
        )
        model.ir_version = self._source.ir_version
        if self._precision == "bf16":
            model = onnx.version_converter.convert_version(model, _BF16_OPSET)
            model.ir_version = _BF16_IR_VERSION
        try:
            onnx.checker.check_model(model, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            raise ModelError(f"the graph in {self._precision} is not valid ONNX: {error}") from error
        return model

    def _used(self) -> list[onnx.TensorProto]:
        """The weights in their new types, and those that are no floats, as far as a node reads them."""
        tensors = {tensor.name: tensor for tensor in self._source.graph.initializer}
        tensors |= {tensor.name: tensor for tensor in self._initializers.values()}
        read = {name for node in self._nodes for name in node.input}
        return [tensor for name, tensor in tensors.items() if name in read]


class _Constants:
    """The float32 constants of a graph: initializers, those stored as fp16 behind a Cast, Constant nodes."""

    def __init__(self, proto: onnx.ModelProto) -> None:
        self._stored: dict[str, onnx.TensorProto] = {}
        self._makers: set[str] = set()
        tensors = {tensor.name: tensor for tensor in proto.graph.initializer}
        self._stored = {name: tensor for name, tensor in tensors.items() if tensor.data_type == FLOAT}
        for node in proto.graph.node:
            if node.op_type == "Cast" and node.input[0] in tensors and _target(node) == FLOAT:
                self._stored[node.output[0]] = tensors[node.input[0]]
                self._makers.add(node.output[0])
            elif node.op_type == "Constant":
                value = _constant_value(node)
                if value is not None:
                    self._stored[node.output[0]] = numpy_helper.from_array(value, node.output[0])
                    self._makers.add(node.output[0])

    def __contains__(self, name: str) -> bool:
        return name in self._stored

    def is_made_by(self, node: onnx.NodeProto) -> bool:
        """Whether a node does no more than make one of these."""
        return node.output[0] in self._makers

    def value(self, name: str) -> NDArray[np.float32]:
        """A constant's numbers."""
        return numpy_helper.to_array(self._stored[name]).astype(np.float32)

    def stored_as(self, name: str, data_type: int) -> onnx.TensorProto | None:
        """The initializer, where the graph stores it in this type already."""
        tensor = self._stored[name]
        return tensor if tensor.data_type == data_type else None


def _target(node: onnx.NodeProto) -> int:
    return next(int(entry.i) for entry in node.attribute if entry.name == "to")


def _constant_value(node: onnx.NodeProto) -> NDArray[np.float32] | None:
    """The numbers of a Constant node, where they are float32."""
    readers: dict[str, Callable[[Any], Any]] = {
        "value": lambda entry: numpy_helper.to_array(entry.t),
        "value_float": lambda entry: np.float32(entry.f),
        "value_floats": lambda entry: np.array(entry.floats, np.float32),
    }
    for entry in node.attribute:
        if entry.name in readers:
            value = np.asarray(readers[entry.name](entry))
            return value if value.dtype == np.float32 else None
    return None


def _word(element_type: int) -> str:
    words = {FLOAT: "fp32", TensorProto.FLOAT16: "fp16", TensorProto.BFLOAT16: "bf16"}
    return words[element_type]
