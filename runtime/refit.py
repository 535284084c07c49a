"""New weights for an engine that was built with ``refit``, where the graph is otherwise the same.

It takes seconds of building away where a model is trained further. The result is TensorRT's, made on the GPU.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from cnnrnn.core.errors import CacheError, EngineError, MissingDependencyError, OptionsError
from cnnrnn.core.protobuf import BYTES, VARINT, Field, fields
from cnnrnn.runtime.engine.cache import CachedEngine, EngineCache, EngineKey
from cnnrnn.runtime.engine.cache_stale import Present, stale_reason
from cnnrnn.runtime.engine.device import find_device
from cnnrnn.runtime.engine.library import Library
from cnnrnn.runtime.engine.log import Messages, listening

# Field numbers of onnx.proto, and its float types.
_MODEL_GRAPH = 7
_GRAPH_INITIALIZER = 5
_DIMS, _DATA_TYPE = 1, 2
_FLOAT_DATA, _INT32_DATA, _RAW_DATA = 4, 5, 9
_FLOATS = {1, 10, 16}


def refit_engine(
    library: Library, cache: EngineCache, key: EngineKey, built_from: bytes, graph: bytes
) -> CachedEngine:
    """An engine with the weights of another graph, which may differ from its own in nothing else.

    An engine is code, so both go through the cache: the old one is read, and verified, under its key, and the
    new one is kept under the key that a build of the new graph would have.

    Args:
        library: the one that built the engine.
        key: of the engine, ``plan.key(planned)`` of `cnnrnn.runtime.engine.build.BuildPlan`.
        built_from: the ONNX bytes that it was built from.
        graph: ONNX bytes with the new weights inside.

    Returns:
        The new engine, not ``built`` where the cache had it already; the old one stays as it was.

    Raises:
        OptionsError: the graphs differ in more than weights, the key is of another graph or machine, or the
            engine was built without ``refit``.
        MissingDependencyError: there is no GPU; without one TensorRT's runtime ends the process.
        CacheError: the cache has no engine of this key that it wrote itself, or cannot be used.
        EngineError: TensorRT refuses the engine or the weights.
    """
    if structure(built_from) != structure(graph):
        raise OptionsError(
            "the graphs differ in more than their weights, and only those can be exchanged; build the new one"
        )
    device = find_device()
    if device is None:
        raise MissingDependencyError(
            "weights are exchanged on the GPU, and this machine has no NVIDIA GPU with a driver; build "
            "the new graph instead",
            name="libcuda",
        )
    _check_key(key, built_from, Present({library.name: library.version}, device))
    old = cache.load(key)
    if old is None:
        raise CacheError(
            f"{cache.folder} has no engine of this key that it wrote itself, and no other is loaded; build "
            "the new graph instead"
        )
    new = replace(key, graph=hashlib.sha256(graph).hexdigest())
    return cache.fetch(new, partial(_refit, library, old, graph))


@dataclass(frozen=True)
class _Refitted:
    """What the cache keeps: `cnnrnn.runtime.engine.cache.Built`."""

    engine: bytes
    report: _Report


@dataclass(frozen=True)
class _Report:
    """The old engine's, with the new one's size and the seconds that it took."""

    fields: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return self.fields


def _check_key(key: EngineKey, built_from: bytes, present: Present) -> None:
    """Before anything is loaded: what the key says tells all of this."""
    if key.graph != hashlib.sha256(built_from).hexdigest():
        raise OptionsError(
            "the key is of an engine of another graph than the one given as built_from; give the key and "
            "the graph of one engine"
        )
    stale = stale_reason(key.to_dict(), present)
    if stale:
        raise OptionsError(f"the engine is of no use here: {stale}; build the new graph instead")
    if not dict(key.options).get("refit"):
        raise OptionsError("the engine was built without refit, so its weights are fixed; build it with it")


def _refit(library: Library, old: CachedEngine, graph: bytes) -> _Refitted:
    started = time.monotonic()
    with listening(library.module) as (logger, messages):
        runtime = library.module.Runtime(logger)
        loaded = runtime.deserialize_cuda_engine(old.engine)
        if loaded is None:
            raise _refused(library, "the engine", messages)
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
        engine = bytes(loaded.serialize())
    took = {"bytes": len(engine), "build_seconds": round(time.monotonic() - started, 3)}
    return _Refitted(engine, _Report({**old.report, **took}))


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
