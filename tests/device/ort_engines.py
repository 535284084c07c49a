"""ONNX Runtime in the place of TensorRT: the engines of a step as work on a stream of the stand-in driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from cnnrnn.core.errors import BackendError
from cnnrnn.core.manifest import GraphSpec
from cnnrnn.runtime.device.arena import TensorPlace
from cnnrnn.runtime.engine.bucket import input_shapes, output_shapes
from tests.driver import inside
from tests.driver.calls import error_name
from tests.driver.inside import Span

Places = Mapping[str, TensorPlace]


def session(data: bytes) -> Any:
    """One thread, in the order of the nodes: the same bits each time."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


class OrtEngines:
    """See `cnnrnn.runtime.device.loop.Engines`.

    Args:
        graphs: the step and the select graph, and their files.
        letters: the sizes of the bucket.
    """

    def __init__(self, graphs: Sequence[tuple[GraphSpec, bytes]], letters: Mapping[str, int]) -> None:
        self._graphs = [(spec, session(data)) for spec, data in graphs]
        self._letters = letters
        self._bound: dict[int, Places] = {}

    def bind(self, turn: int, tensors: Places) -> None:
        for spec, _ in self._graphs:
            for name, shape in input_shapes(spec, self._letters).items():
                assert tensors[name].shape == shape, name
            for name, shape in output_shapes(spec, self._letters).items():
                assert tensors[written(name)].shape == shape, name
        self._bound[turn] = tensors

    def enqueue(self, stream: int, turn: int) -> None:
        for what, (spec, ort) in zip(("step", "select"), self._graphs, strict=True):
            self._enqueue(stream, f"{what} {turn}", spec, ort, self._bound[turn])

    def _enqueue(self, stream: int, name: str, spec: GraphSpec, ort: Any, places: Places) -> None:
        reads = {tensor.name: places[tensor.name] for tensor in spec.inputs}
        writes = {tensor.name: places[written(tensor.name)] for tensor in spec.outputs}

        def work() -> None:
            feeds = {tensor: array(place) for tensor, place in reads.items()}
            for (_, place), value in zip(writes.items(), ort.run(list(writes), feeds), strict=True):
                array(place)[...] = value

        taken, given = [[span(place) for place in places.values()] for places in (reads, writes)]
        error = inside.enqueue(stream, work, reads=taken, writes=given, name=name)
        if error:
            raise BackendError(f"{name} was not queued: {error_name(error)}")


def written(name: str) -> str:
    """Where the loop has what a graph writes by this name."""
    return name if name in ("logits", "all_done") or name.startswith("next_") else f"next_{name}"


def span(place: TensorPlace) -> Span:
    """The tensor's bytes on the device."""
    return Span(place.address, place.size_bytes)


def array(place: TensorPlace) -> NDArray[Any]:
    """The tensor on the device, for work that declared it."""
    found: NDArray[Any] = inside.view(span(place), np.dtype(place.dtype), place.shape)
    return found
