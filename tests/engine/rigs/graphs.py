"""The graphs that engines are built of in the tests: of shipped bundles, and of every kind of captioner."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

import onnx

from cnnrnn.core.bundle import Bundle
from cnnrnn.core.manifest import GraphSpec
from cnnrnn.export.precision.lower import lower
from cnnrnn.export.precision.options import Precision
from cnnrnn.runtime.engine.bucket import Bucket, Shapes, input_shapes, sizes
from tests.engine.rigs.compiler import Job

IMAGES = (1, 4)
BEAMS = (1, 5)
CAPABILITIES = ("7.5", "8.6", "12.0")
# For which TensorRT-RTX has products of fp16 alone; every encoder and step has some.
TURING = "7.5"
PRECISIONS = ("fp32", "fp16")
DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


@dataclass(frozen=True)
class Graph:
    """One graph and the buckets that it is compiled for.

    Attributes:
        role: ``"encoder"``, ``"step"`` or ``"select"``.
        precision: ``"fp32"`` or another; of a select graph ``""``.
        model: ONNX bytes with their weights inside.
        shapes: of the inputs, in each bucket; the last is the largest.
    """

    name: str
    role: str
    precision: str
    model: bytes
    shapes: tuple[Shapes, ...]

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Those of `CAPABILITIES` that an engine can be built for."""
        everywhere = self.precision not in ("fp32", "bf16")
        return tuple(capability for capability in CAPABILITIES if everywhere or capability != TURING)

    def jobs(self) -> list[Job]:
        """One for each bucket, for all `capabilities` together: that takes no longer than for one, and one
        that cannot be built for spoils the engine, as `refused` shows."""
        return [Job(self.name, self.model, shapes, self.capabilities) for shapes in self.shapes]

    def refused(self) -> list[Job]:
        """The largest bucket, for one too many."""
        if self.capabilities == CAPABILITIES:
            return []
        return [Job(self.name, self.model, self.shapes[-1], CAPABILITIES)]


@lru_cache
def model_graphs(folder: Path | str, precision: str) -> tuple[Graph, ...]:
    """Encoder and step of a bundle, lowered here where it does not carry the precision."""
    bundle = Bundle.open(folder)
    buckets = [Bucket(images, beams) for images in IMAGES for beams in BEAMS]
    carried = bundle.manifest.precisions.get(precision)
    graphs = []
    for role, spec in (carried or bundle.manifest.precisions["fp32"]).items():
        model = bundle.graph(spec.file)
        name = f"{bundle.manifest.name}/{spec.file}"
        if carried is None:
            model, name = _lower(model, precision), name.replace("fp32/", f"{precision}/")
        graphs.append(Graph(name, role, precision, model, _shapes(bundle, spec, buckets)))
    return tuple(graphs)


@lru_cache
def select_graphs(folder: Path | str, beams: tuple[int, ...] = ()) -> tuple[Graph, ...]:
    """The search's graphs that a bundle carries, of these beams or all."""
    bundle = Bundle.open(folder)
    graphs = []
    for spec in bundle.manifest.select.values():
        width = next(tensor.shape[1] for tensor in spec.inputs if tensor.name == "logits")
        assert isinstance(width, int)
        if not beams or width in beams:
            shapes = _shapes(bundle, spec, [Bucket(images, width) for images in IMAGES])
            graphs.append(
                Graph(f"{bundle.manifest.name}/{spec.file}", "select", "", bundle.read(spec.file), shapes)
            )
    return tuple(graphs)


def _lower(model: bytes, precision: str) -> bytes:
    return lower(onnx.load_from_string(model), cast(Precision, precision)).SerializeToString()


def _shapes(bundle: Bundle, spec: GraphSpec, buckets: Iterable[Bucket]) -> tuple[Shapes, ...]:
    """In each bucket, those that are the same once: an encoder has no beams."""
    found: list[Shapes] = []
    for bucket in buckets:
        shapes = input_shapes(spec, sizes(bundle.manifest, bucket))
        if shapes not in found:
            found.append(shapes)
    return tuple(found)
