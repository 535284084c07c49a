"""Weights that are in the fp32 file already are not written again: the graph names their place in it."""

from __future__ import annotations

import onnx

from cnnrnn.core.onnx_weights import weight_places

# Below, naming the place takes about as many bytes as the weights themselves.
FEWEST_BYTES = 128


def share(graph: onnx.ModelProto, full: bytes, location: str) -> onnx.ModelProto:
    """Let a graph's initializers be those bytes of another file that are the same.

    Args:
        graph: with its weights inside; it is not changed.
        full: the other file's bytes, as they are written.
        location: that file, relative to the graph's folder: ``"../fp32/encoder.onnx"``.

    Returns:
        The graph with ONNX external data where the bytes were found; `cnnrnn.core.onnx_weights` reads it.
    """
    places: dict[bytes, int] = {}
    for offset, length in weight_places(full):
        if length >= FEWEST_BYTES:
            places.setdefault(full[offset : offset + length], offset)
    shared = onnx.ModelProto()
    shared.CopyFrom(graph)
    for tensor in shared.graph.initializer:
        offset = places.get(tensor.raw_data, -1)
        if offset >= 0:
            _refer(tensor, location, offset)
    return shared


def _refer(tensor: onnx.TensorProto, location: str, offset: int) -> None:
    length = len(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
