"""The nodes of an ONNX file, read without the package onnx: enough to say what an error is about.

Only the fields that are named are looked at; weights are stepped over, not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# Field numbers of onnx.proto.
_MODEL_GRAPH = 7
_GRAPH_NODE = 1
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_TYPE, _NODE_DOMAIN = 1, 2, 3, 4, 7
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


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
    try:
        graphs = [part for number, part in _fields(memoryview(model)) if number == _MODEL_GRAPH]
        return [_node(part) for graph in graphs for number, part in _fields(graph) if number == _GRAPH_NODE]
    except (IndexError, ValueError):
        return []


def _node(data: memoryview) -> Node:
    texts: dict[int, list[str]] = {}
    for number, part in _fields(data):
        if number in (_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_TYPE, _NODE_DOMAIN):
            texts.setdefault(number, []).append(bytes(part).decode(errors="replace"))
    return Node(
        name="".join(texts.get(_NODE_NAME, [])),
        kind="".join(texts.get(_NODE_TYPE, [])),
        domain="".join(texts.get(_NODE_DOMAIN, [])),
        inputs=tuple(texts.get(_NODE_INPUT, [])),
        outputs=tuple(texts.get(_NODE_OUTPUT, [])),
    )


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields of a message that hold bytes: number and content."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        kind = key & 7
        if kind == _VARINT:
            _, place = _varint(data, place)
        elif kind in (_FIXED32, _FIXED64):
            place += 4 if kind == _FIXED32 else 8
        elif kind == _BYTES:
            size, place = _varint(data, place)
            if place + size > len(data):
                raise ValueError("a field ends behind its message")
            yield key >> 3, data[place : place + size]
            place += size
        else:
            raise ValueError(f"wire type {kind}")


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
