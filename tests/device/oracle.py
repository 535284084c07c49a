"""The oracle's cases of the search (`tests.search`) on a device: step models that are any functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from cnnrnn.core.manifest import GraphSpec, ImageSpec, Manifest, SearchDefaults, TensorSpec, VocabularySpec
from cnnrnn.core.search import SearchOptions
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.device import open_device
from cnnrnn.runtime.device.backend import DeviceBackend
from cnnrnn.runtime.device.tensors import Role
from cnnrnn.runtime.graphs import Graphs
from cnnrnn.runtime.loop import History, decode, prepare
from cnnrnn.runtime.search_inputs import SpecialTokens
from tests.device.host_engines import Arrays, HostEngine, HostSource, runs
from tests.device.loop_kernels import emulate_all
from tests.runtime.prefix_backend import PrefixBackend
from tests.runtime.reference_search import StepModel
from tests.search.searching import START, SharedBackend

# Tokens that a prefix has room for, the start token among them; of an alignment, the positions.
ROOM, POSITIONS = 40, 3


class FunctionSource(HostSource):
    """Engines of a decoder that is a function of the prefix, and of the real select graph."""

    def __init__(self, models: Sequence[StepModel], vocabulary: int, ends: int) -> None:
        self._backend = PrefixBackend(list(models), vocabulary, ends, ROOM - 1)

    def engine(self, role: Role, spec: GraphSpec, graph: bytes, letters: Mapping[str, int]) -> HostEngine:
        images = letters["B"]
        # Pictures that fill up a batch are the last one again.
        models = self._backend.models
        models.extend(models[-1:] * (images - len(models)))
        function = {"encoder": self._encode, "step": self._step}.get(role) or runs(graph)
        return HostEngine(role, spec, function, letters)

    def _encode(self, feeds: Arrays) -> Arrays:
        encoded = self._backend.encode(feeds["image"])
        return {"state_prefix": encoded.state["prefix"]}

    def _step(self, feeds: Arrays) -> Arrays:
        if feeds["state_prefix"][0, 0, 0] == 0 and not feeds["state_prefix"].any():  # the first run, on zeros
            feeds = feeds | {"state_prefix": np.full_like(feeds["state_prefix"], -1)}
        stepped = self._backend.step(feeds["tokens"], feeds["parents"], {"prefix": feeds["state_prefix"]}, {})
        return {
            "logits": stepped.logits.astype(np.float32),
            "next_state_prefix": stepped.state["prefix"],
            "alignment": np.asarray(stepped.alignment),
        }


@contextmanager
def on_a_device(
    models: Sequence[StepModel], vocabulary: int, ends: tuple[int, ...], way: str, provider: str = "auto"
) -> Iterator[DeviceBackend]:
    """A backend that searches with these models, one for each picture."""
    emulate_all()
    source = FunctionSource(models, vocabulary, len(ends))
    graphs = Graphs(_manifest(vocabulary, ends), "fp32", lambda _: b"")
    backend = DeviceBackend("functions", graphs, open_device(provider=provider), source, way)
    try:
        yield backend
    finally:
        backend.close()


def device_history(
    backend: DeviceBackend, pictures: int, ends: tuple[int, ...], options: SearchOptions
) -> History:
    """What the search on the device left behind."""
    special = SpecialTokens(START, ends)
    images = [np.zeros((1, 1, 3), np.uint8)] * pictures
    kind = prepare(backend, options, special)
    return backend.search(images, options, special, Clock(), kind).history()


def cpu_history(
    models: Sequence[StepModel], vocabulary: int, ends: tuple[int, ...], options: SearchOptions
) -> History:
    """What the same search left behind that is run step by step."""
    backend = SharedBackend(models, vocabulary, len(ends), ROOM - 1)
    images = np.zeros((len(models), 1, 1, 3), np.uint8)
    return decode(backend, images, options, SpecialTokens(START, ends), Clock())


def _manifest(vocabulary: int, ends: tuple[int, ...]) -> Manifest:
    prefix: Any = TensorSpec("state_prefix", "int32", ("B", "K", ROOM))
    encoder = GraphSpec(
        "fp32/encoder.onnx",
        (TensorSpec("image", "uint8", ("B", 1, 1, 3)),),
        (TensorSpec("state_prefix", "int32", ("B", ROOM)),),
    )
    step = GraphSpec(
        "fp32/step.onnx",
        (TensorSpec("tokens", "int32", ("B", "K")), TensorSpec("parents", "int32", ("B", "K")), prefix),
        (
            TensorSpec("logits", "float32", ("B", "K", vocabulary)),
            TensorSpec("next_state_prefix", "int32", ("B", "K", ROOM)),
            TensorSpec("alignment", "float32", ("B", "K", POSITIONS)),
        ),
    )
    return Manifest(
        name="functions",
        summary="Says what functions say.",
        license="Apache-2.0",
        image=ImageSpec(1, 1, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        vocabulary=VocabularySpec(vocabulary, 1, START, ends, 3),
        search=SearchDefaults(beams=5, max_beams=32, max_length=8),
        precisions={"fp32": {"encoder": encoder, "step": step}},
        select={},
        alignment_grid=None,
    )
