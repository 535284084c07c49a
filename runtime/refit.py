"""New weights for an engine that was built with ``refit``, where the graph is otherwise the same.

It takes seconds of building away where a model is trained further. The result is TensorRT's, made on the GPU.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from cnnrnn.core.errors import EngineError, MissingDependencyError, OptionsError
from cnnrnn.core.protobuf import BYTES, VARINT, Field, fields
from cnnrnn.runtime.engine.device import find_device
from cnnrnn.runtime.engine.library import Library
from cnnrnn.runtime.engine.log import Messages, listening

# Field numbers of onnx.proto, and its float types.
_MODEL_GRAPH = 7
_GRAPH_INITIALIZER = 5
_DIMS, _DATA_TYPE = 1, 2
_FLOAT_DATA, _INT32_DATA, _RAW_DATA = 4, 5, 9
_FLOATS = {1, 10, 16}


def refit_engine(library: Library, engine: bytes, built_from: bytes, graph: bytes) -> bytes:
    """An engine with the weights of another graph, which may differ from its own in nothing else.

    Args:
        library: the one that built the engine.
        engine: as the cache gave it; an engine is code, so never one from elsewhere.
        built_from: the ONNX bytes that it was built from.
        graph: ONNX bytes with the new weights inside.

    Returns:
        The new engine; the old one is as it was.

    Raises:
        OptionsError: the graphs differ in more than weights, or the engine was built without ``refit``.
        MissingDependencyError: there is no GPU; without one TensorRT's runtime ends the process.
        EngineError: TensorRT refuses the engine or the weights.
    """
    if structure(built_from) != structure(graph):
        raise OptionsError(
            "the graphs differ in more than their weights, and only those can be exchanged; build the new one"
        )
    if find_device() is None:
        raise MissingDependencyError(
            "weights are exchanged on the GPU, and this machine has no NVIDIA GPU with a driver; build "
            "the new graph instead",
            name="libcuda",
        )
    with listening(library.module) as (logger, messages):
        runtime = library.module.Runtime(logger)
        loaded = runtime.deserialize_cuda_engine(engine)
        if loaded is None:
            raise _refused(library, "the engine", messages)
        if not loaded.refittable:
            raise OptionsError(
                "the engine was built without refit, so its weights are fixed; build it with it"
            )
        refitter = library.module.Refitter(loaded, logger)
        parser = library.module.OnnxParserRefitter(refitter, logger)
        if not parser.refit_from_bytes(graph):
            said = [parser.get_error(index).desc() for index in range(parser.num_errors)]
            raise _refused(library, "the new weights", messages, said)
        missing = refitter.get_missing_weights()
        if missing:
            raise _refused(library, "the new weights", messages, [f"{', '.join(missing)} lack theirs"])
        if not refitter.refit_cuda_engine():
            raise _refused(library, "the new weights", messages)
        return bytes(loaded.serialize())


def structure(graph: bytes) -> str:
    """A digest of all of a graph but its weights: float tensors of more than one number.

    A single number may be a limit or a scale that became a part of the engine, and so may integers.

    Raises:
        OptionsError: the bytes are no ONNX graph.
    """
    digest = hashlib.sha256()
    data = memoryview(graph)
    try:
        for part in _without_weights(data):
            digest.update(data[part.begin : part.end])
    except ValueError as error:
        raise OptionsError(f"{len(graph)} bytes are no ONNX graph: {error}") from error
    return digest.hexdigest()


def _without_weights(data: memoryview) -> Iterator[Field]:
    """The fields of the model, those of its graph and of its initializers one by one."""
    for outer in fields(data):
        if outer.number != _MODEL_GRAPH or outer.kind != BYTES:
            yield outer
            continue
        for inner in fields(data, outer.start, outer.end):
            if inner.number == _GRAPH_INITIALIZER and inner.kind == BYTES:
                yield from _without_numbers(data, list(fields(data, inner.start, inner.end)))
            else:
                yield inner


def _without_numbers(data: memoryview, tensor: list[Field]) -> list[Field]:
    count, kind = 1, 0
    for part in tensor:
        if part.number == _DIMS:
            for size in _sizes(data, part):
                count *= size
        elif part.number == _DATA_TYPE:
            kind = part.value
    if kind not in _FLOATS or count < 2:
        return tensor
    return [part for part in tensor if part.number not in (_FLOAT_DATA, _INT32_DATA, _RAW_DATA)]


def _sizes(data: memoryview, part: Field) -> Iterator[int]:
    """Dimensions, each a field of its own, or all in one."""
    if part.kind == VARINT:
        yield part.value
        return
    value = shift = 0
    for byte in data[part.start : part.end]:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield value
            value = shift = 0


def _refused(library: Library, what: str, messages: Messages, said: list[Any] | None = None) -> EngineError:
    reason = " | ".join([*(said or []), *messages.errors()]) or "it gave no reason"
    return EngineError(f"{library.title} refuses {what}: {reason}. Build the new graph instead")
