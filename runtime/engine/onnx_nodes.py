"""The nodes of an ONNX file, read without the package onnx: enough to say what an error is about.

Only the fields that are named are looked at; weights are stepped over, not read.
"""

from __future__ import annotations

from dataclasses import dataclass

from cnnrnn.core.protobuf import BYTES, Field, fields

# Field numbers of onnx.proto.
_MODEL_GRAPH = 7
_GRAPH_NODE = 1
_TEXTS = _NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_TYPE, _NODE_DOMAIN = 1, 2, 3, 4, 7


@dataclass(frozen=True)
class Node:
    """One operator of a graph: its name, type and domain, and the names of its tensors."""

    name: str
    kind: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read_nodes(model: bytes) -> list[Node]:
    """The nodes of the model's main graph, in order; empty where the bytes are no ONNX model."""
    data = memoryview(model)
    try:
        return [
            _node(data, node)
            for graph in fields(data)
            if graph.number == _MODEL_GRAPH and graph.kind == BYTES
            for node in fields(data, graph.start, graph.end)
            if node.number == _GRAPH_NODE and node.kind == BYTES
        ]
    except ValueError:
        return []


def _node(data: memoryview, node: Field) -> Node:
    texts: dict[int, list[str]] = {}
    for part in fields(data, node.start, node.end):
        if part.kind == BYTES and part.number in _TEXTS:
            text = bytes(data[part.start : part.end]).decode(errors="replace")
            texts.setdefault(part.number, []).append(text)
    return Node(
        name="".join(texts.get(_NODE_NAME, [])),
        kind="".join(texts.get(_NODE_TYPE, [])),
        domain="".join(texts.get(_NODE_DOMAIN, [])),
        inputs=tuple(texts.get(_NODE_INPUT, [])),
        outputs=tuple(texts.get(_NODE_OUTPUT, [])),
    )
