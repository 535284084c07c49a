"""Engines on the host: ONNX Runtime, or any function, as work on a stream of the stand-in driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from cnnrnn.core.errors import BackendError
from cnnrnn.core.manifest import GraphSpec
from cnnrnn.runtime.device.arena import TensorPlace
from cnnrnn.runtime.device.protocol import Stream
from cnnrnn.runtime.device.tensors import Role
from cnnrnn.runtime.engine.bucket import input_shapes, output_shapes
from tests.driver import inside
from tests.driver.calls import error_name
from tests.driver.inside import Span

Arrays = dict[str, NDArray[Any]]
Function = Callable[[Arrays], Mapping[str, Any]]
Places = Mapping[str, TensorPlace]

# Bytes that each context says it works in, so that the memory for it is taken and handed on.
SCRATCH_BYTES = 512


@cache
def session(data: bytes) -> Any:
    """One thread, in the order of the nodes: the same bits each time."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def runs(data: bytes) -> Function:
    """A graph as a function of its inputs by name."""
    ort = session(data)
    names = [output.name for output in ort.get_outputs()]
    return lambda feeds: dict(zip(names, ort.run(names, feeds), strict=True))


def enqueue(stream: int, name: str, function: Function, reads: Places, writes: Places) -> None:
    """Queue a function of device tensors; it runs when the stream does, and is shut out of all others."""

    def work() -> None:
        found = function({tensor: array(place) for tensor, place in reads.items()})
        for tensor, place in writes.items():
            array(place)[...] = found[tensor]

    taken, given = ([span(place) for place in places.values()] for places in (reads, writes))
    error = inside.enqueue(stream, work, reads=taken, writes=given, name=name)
    if error:
        raise BackendError(f"{name} was not queued: {error_name(error)}")


class HostContext:
    """See `cnnrnn.runtime.device.engines.Context`."""

    def __init__(self, name: str, spec: GraphSpec, function: Function, places: Places) -> None:
        self._name, self._function = name, function
        self.reads = {tensor.name: places[tensor.name] for tensor in spec.inputs}
        self.writes = {tensor.name: places[tensor.name] for tensor in spec.outputs}

    def enqueue(self, stream: int) -> None:
        enqueue(stream, self._name, self._function, self.reads, self.writes)

    def close(self) -> None:
        self.reads = self.writes = {}


class HostEngine:
    """See `cnnrnn.runtime.device.engines.Engine`."""

    def __init__(self, role: Role, spec: GraphSpec, function: Function, letters: Mapping[str, int]) -> None:
        self.role, self.spec, self.function, self.letters = role, spec, function, letters

    @property
    def scratch_bytes(self) -> int:
        return SCRATCH_BYTES

    def context(self, places: Places, scratch: int) -> HostContext:
        assert scratch
        for shapes in (input_shapes(self.spec, self.letters), output_shapes(self.spec, self.letters)):
            assert all(places[name].shape == shape for name, shape in shapes.items())

        return HostContext(self.role, self.spec, self.function, places)

    def close(self) -> None:
        """Nothing is held."""


class HostSource:
    """See `cnnrnn.runtime.device.engines.Source`."""

    captures, any_size = True, False
    stream: Stream | None = None
    engines = HostEngine

    def engine(self, role: Role, spec: GraphSpec, graph: bytes, letters: Mapping[str, int]) -> HostEngine:
        return self.engines(role, spec, runs(graph), letters)

    def close(self) -> None:
        """Nothing is held."""


def span(place: TensorPlace) -> Span:
    """The tensor's bytes on the device."""
    return Span(place.address, place.size_bytes)


def array(place: TensorPlace) -> NDArray[Any]:
    """The tensor on the device, for work that declared it."""
    found: NDArray[Any] = inside.view(span(place), np.dtype(place.dtype), place.shape)
    return found
