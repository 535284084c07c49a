"""ONNX graphs whose weights lie in another file of the bundle, made whole when they are read.

A graph of a lower precision names the bytes of the fp32 graph's file that are its weights, as ONNX's external
data: ``location`` relative to the graph's own folder, ``offset`` and ``length`` in bytes. So the weights are
in the bundle once. What reads a graph gets it with its weights inside, and no engine ever opens a file.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cnnrnn.core.errors import BundleError
from cnnrnn.core.protobuf import BYTES, Field, fields, key_and_size

# Field numbers of onnx.proto.
_MODEL_GRAPH = 7
_GRAPH_INITIALIZER = 5
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 1, 2, 8, 9, 13, 14
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_EXTERNAL = 1

# Bytes of an element, by TensorProto.DataType.
_ELEMENT_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}

Pieces = list["bytes | memoryview"]


def inline_weights(graph: bytes, folder: str, read: Callable[[str], bytes], name: str = "the graph") -> bytes:
    """The graph with its weights inside.

    Args:
        graph: ONNX bytes; without external data they are returned as they are.
        folder: where the graph lies in its bundle, ``"fp16"``.
        read: gives the bytes of a file, by its path in the bundle; each file is read once.
        name: the graph's file, for messages.

    Raises:
        BundleError: the bytes are no ONNX graph, or a tensor's place lies outside its file, its file outside
            the bundle, or its length is not what its shape needs.
    """
    reader = _Reader(name, folder, read, {})
    try:
        return reader.model(memoryview(graph))
    except ValueError as error:
        raise BundleError(
            f"{name} is not a readable ONNX graph: {error}; copy or export the bundle again"
        ) from error


def weight_places(graph: bytes) -> Iterator[tuple[int, int]]:
    """Where the weights of a graph lie in its bytes: offset and length of each initializer's raw data."""
    data = memoryview(graph)
    for tensor in _initializers(data):
        for part in fields(data, tensor.start, tensor.end):
            if part.number == _RAW_DATA and part.kind == BYTES:
                yield part.start, part.end - part.start


def _initializers(data: memoryview) -> Iterator[Field]:
    for graph in fields(data):
        if graph.number == _MODEL_GRAPH and graph.kind == BYTES:
            for field in fields(data, graph.start, graph.end):
                if field.number == _GRAPH_INITIALIZER and field.kind == BYTES:
                    yield field


@dataclass(frozen=True)
class _Reader:
    name: str
    folder: str
    read: Callable[[str], bytes]
    files: dict[str, bytes]

    def model(self, data: memoryview) -> bytes:
        if not any(self._is_external(data, tensor) for tensor in _initializers(data)):
            return bytes(data)
        pieces: Pieces = []
        for field in fields(data):
            if field.number == _MODEL_GRAPH and field.kind == BYTES:
                _append(pieces, _MODEL_GRAPH, self._graph(data, field))
            else:
                pieces.append(data[field.begin : field.end])
        return b"".join(pieces)

    def _is_external(self, data: memoryview, tensor: Field) -> bool:
        return any(
            part.number == _DATA_LOCATION and part.value == _EXTERNAL
            for part in fields(data, tensor.start, tensor.end)
        )

    def _graph(self, data: memoryview, graph: Field) -> Pieces:
        pieces: Pieces = []
        for field in fields(data, graph.start, graph.end):
            tensor = field.number == _GRAPH_INITIALIZER and field.kind == BYTES
            if tensor and self._is_external(data, field):
                _append(pieces, _GRAPH_INITIALIZER, self._tensor(data, field))
            else:
                pieces.append(data[field.begin : field.end])
        return pieces

    def _tensor(self, data: memoryview, tensor: Field) -> Pieces:
        pieces: Pieces = []
        label, data_type, elements = "", 0, 1
        place: dict[str, str] = {}
        for part in fields(data, tensor.start, tensor.end):
            if part.number == _EXTERNAL_DATA and part.kind == BYTES:
                key, value = self._entry(data, part)
                place[key] = value
                continue
            if part.number in (_RAW_DATA, _DATA_LOCATION):
                continue
            pieces.append(data[part.begin : part.end])
            if part.number == _NAME:
                label = bytes(data[part.start : part.end]).decode(errors="replace")
            elif part.number == _DATA_TYPE:
                data_type = part.value
            elif part.number == _DIMS:
                for size in _sizes(data, part):
                    elements *= size
        _append(pieces, _RAW_DATA, [self._weights(label, place, elements * _ELEMENT_BYTES.get(data_type, 0))])
        return pieces

    def _entry(self, data: memoryview, entry: Field) -> tuple[str, str]:
        texts = {
            part.number: bytes(data[part.start : part.end]).decode(errors="replace")
            for part in fields(data, entry.start, entry.end)
        }
        return texts.get(_ENTRY_KEY, ""), texts.get(_ENTRY_VALUE, "")

    def _weights(self, label: str, place: dict[str, str], wanted: int) -> memoryview:
        location = place.get("location", "")
        offset, length = (self._number(label, place, key) for key in ("offset", "length"))
        path = posixpath.normpath(posixpath.join(self.folder, location))
        if not location or location.startswith("/") or path.split("/")[0] == "..":
            raise self._bad(label, f"its location {location!r} lies outside the bundle")
        if path not in self.files:
            self.files[path] = self.read(path)
        file = self.files[path]
        if offset + length > len(file):
            raise self._bad(
                label, f"bytes {offset} to {offset + length} of {path!r} are meant, which has {len(file)}"
            )
        if length != wanted:
            raise self._bad(label, f"its length is {length} bytes, and its shape and type need {wanted}")
        return memoryview(file)[offset : offset + length]

    def _number(self, label: str, place: dict[str, str], key: str) -> int:
        text = place.get(key, "")
        if not text.isascii() or not text.isdigit() or len(text) > len(str(2**63)):
            raise self._bad(label, f"its {key} is {text[:40]!r}, which is no number of bytes")
        return int(text)

    def _bad(self, label: str, reason: str) -> BundleError:
        return BundleError(f"{self.name}: weight {label!r}: {reason}; copy or export the bundle again")


def _sizes(data: memoryview, part: Field) -> list[int]:
    """A repeated number, packed or not."""
    if part.kind != BYTES:
        return [part.value]
    sizes, place = [], part.start
    while place < part.end:
        value = shift = 0
        while place < part.end:
            byte = data[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        sizes.append(value)
    return sizes


def _append(pieces: Pieces, number: int, content: Pieces) -> None:
    pieces.append(key_and_size(number, sum(map(len, content))))
    pieces += content
