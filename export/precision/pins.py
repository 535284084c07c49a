"""Which nodes have to be float32 so that a tensor is: those that make it and those that read it.

A node that only moves numbers takes them in the type they have, so what makes and reads a tensor is looked
for beyond such nodes, and beyond the border of encoder and step: a memory or a state that must be float32 is
so in both graphs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import onnx

from cnnrnn.export.precision.lower import tensor_types
from cnnrnn.export.precision.rules import MOVING_OPERATORS

# What is kept in float32 together: (graph, node) alone, or the two or three names of a tensor that graphs
# share.
Pin: TypeAlias = frozenset[tuple[str, str]]
Pins: TypeAlias = frozenset[Pin]


class Flow:
    """Who makes and who reads each float tensor of the fp32 graphs.

    Args:
        protos: ``"encoder"`` and ``"step"``.
    """

    def __init__(self, protos: dict[str, onnx.ModelProto]) -> None:
        self._graphs = {role: _Graph.of(proto) for role, proto in protos.items()}

    def around(self, graph: str, tensor: str) -> Pins:
        """What makes and what reads a tensor."""
        return self.makers(graph, tensor) | self.readers(graph, tensor)

    def of_node(self, graph: str, node: str) -> Pins:
        """A node, and what makes its inputs."""
        found = set[Pin]({frozenset({(graph, node)})})
        for name in self._graphs[graph].inputs_of(node):
            found |= self.makers(graph, name)
        return frozenset(found)

    def shared(self) -> Pins:
        """The pins of all memories and states."""
        found: set[Pin] = set()
        for graph in self._graphs.values():
            for name in graph.inputs | graph.outputs:
                self._share(name, found)
        return frozenset(found)

    def makers(self, graph: str, tensor: str) -> Pins:
        """The node that makes a tensor, and those before it as far as they only move."""
        found: set[Pin] = set()
        self._up(graph, tensor, found, set())
        return frozenset(found)

    def readers(self, graph: str, tensor: str) -> Pins:
        """The nodes that read a tensor, and those behind them as far as they only move."""
        found: set[Pin] = set()
        self._down(graph, tensor, found, set())
        return frozenset(found)

    def _up(self, graph: str, tensor: str, found: set[Pin], been: set[tuple[str, str]]) -> None:
        if (graph, tensor) in been:
            return
        been.add((graph, tensor))
        node = self._graphs[graph].makers.get(tensor)
        if node is None:  # an input: what the encoder made of the picture, or the step before
            for other, source in self._share(tensor, found):
                if (other, source) != (graph, tensor):
                    self._up(other, source, found, been)
            return
        found.add(frozenset({(graph, node.name)}))
        if node.op_type in MOVING_OPERATORS:
            for name in self._graphs[graph].inputs_of(node.name):
                self._up(graph, name, found, been)

    def _down(self, graph: str, tensor: str, found: set[Pin], been: set[tuple[str, str]]) -> None:
        if (graph, tensor) in been:
            return
        been.add((graph, tensor))
        if tensor in self._graphs[graph].outputs:
            for other, name in self._share(tensor, found):
                if (other, name) != (graph, tensor):
                    self._down(other, name, found, been)
        for node in self._graphs[graph].readers.get(tensor, ()):
            found.add(frozenset({(graph, node.name)}))
            if node.op_type in MOVING_OPERATORS:
                for name in node.output:
                    self._down(graph, name, found, been)

    def _share(self, tensor: str, found: set[Pin]) -> list[tuple[str, str]]:
        """Add a memory or a state as one pin; where it is made and read, by graph."""
        name = tensor.removeprefix("next_")
        places = [
            (role, label)
            for role, graph in self._graphs.items()
            for label in (name, f"next_{name}")
            if label in graph.inputs or label in graph.outputs
        ]
        if name.startswith(("memory_", "state_")):
            found.add(frozenset(places))
        return places


@dataclass(frozen=True)
class _Graph:
    inputs: frozenset[str]
    outputs: frozenset[str]
    makers: dict[str, onnx.NodeProto]
    readers: dict[str, list[onnx.NodeProto]]
    floats: frozenset[str]

    @staticmethod
    def of(proto: onnx.ModelProto) -> _Graph:
        types = tensor_types(proto)
        constant = {tensor.name for tensor in proto.graph.initializer}
        constant |= {
            node.output[0]
            for node in proto.graph.node
            if node.op_type == "Cast" and node.input[0] in constant
        }
        floats = frozenset(
            name for name, kind in types.items() if kind == onnx.TensorProto.FLOAT and name not in constant
        )
        readers: dict[str, list[onnx.NodeProto]] = {}
        for node in proto.graph.node:
            for name in node.input:
                readers.setdefault(name, []).append(node)
        return _Graph(
            inputs=frozenset(value.name for value in proto.graph.input),
            outputs=frozenset(value.name for value in proto.graph.output),
            makers={name: node for node in proto.graph.node for name in node.output},
            readers=readers,
            floats=floats,
        )

    def inputs_of(self, node: str) -> list[str]:
        """The float tensors that a node reads, weights left out."""
        return [
            name
            for made in self.makers.values()
            if made.name == node
            for name in made.input
            if name in self.floats
        ]
