"""Buckets: the sizes that an engine is built for. One static profile each, so none is switched at run time.

Letters: B images, K beams, V vocabulary; where questions are answered B of these, about I images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cnnrnn.core.errors import BundleError, OptionsError
from cnnrnn.core.manifest import GraphSpec, Manifest, TensorSpec

# Images that the runtime puts through the graphs together, at most (`cnnrnn.runtime.model.MAX_BATCH`).
MAX_IMAGES = 16

# By input, the one shape that an engine takes.
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, order=True)
class Bucket:
    """How many images go through the graphs together, and how many beams each has."""

    images: int
    beams: int

    def __post_init__(self) -> None:
        for name, value in (("images", self.images), ("beams", self.beams)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise OptionsError(f"{name}={value!r} is no size; give an integer from 1")

    def __str__(self) -> str:
        return f"{self.images} × {self.beams}"


def check_bucket(bucket: Bucket, manifest: Manifest) -> None:
    """Refuse a bucket that the bundle was not checked with or the runtime never uses.

    Raises:
        OptionsError: naming the number, the limit and what to do.
    """
    most = manifest.search.max_beams
    if bucket.beams > most:
        raise OptionsError(
            f"beams={bucket.beams} is above the {most} that bundle {manifest.name!r} was checked with "
            f"(search.max_beams of its manifest); build for {most} or fewer, or export it again"
        )
    if bucket.images > MAX_IMAGES:
        raise OptionsError(
            f"images={bucket.images} is above {MAX_IMAGES}: no more go through the graphs together, a longer "
            "list goes in parts; build for fewer"
        )


def sizes(manifest: Manifest, bucket: Bucket) -> dict[str, int]:
    """What each letter of the graphs' shapes is in a bucket."""
    return {"B": bucket.images, "I": bucket.images, "K": bucket.beams, "V": manifest.vocabulary.size}


def input_shapes(graph: GraphSpec, letters: Mapping[str, int]) -> Shapes:
    """The shape of each of a graph's inputs, in order.

    Args:
        letters: by letter its size, see `sizes`; a graph of the search's options needs more of them.

    Raises:
        BundleError: an input has a letter that is not among them, or a size below 1.
    """
    return _shapes(graph, "input", graph.inputs, letters)


def output_shapes(graph: GraphSpec, letters: Mapping[str, int]) -> Shapes:
    """The shape of each of a graph's outputs, as `input_shapes` for those."""
    return _shapes(graph, "output", graph.outputs, letters)


def _shapes(graph: GraphSpec, way: str, tensors: Iterable[TensorSpec], letters: Mapping[str, int]) -> Shapes:
    shapes: Shapes = {}
    for tensor in tensors:
        unknown = [size for size in tensor.shape if isinstance(size, str) and size not in letters]
        if unknown:
            raise BundleError(
                f"{graph.file}: {way} {tensor.name!r} has the dimension {unknown[0]!r}, whose size is not "
                f"known before the graph runs; known are {', '.join(letters)}. An engine's shapes are fixed: "
                "write the model with a mask of fixed shape instead, and export it again"
            )
        shape = tuple(letters[size] if isinstance(size, str) else size for size in tensor.shape)
        if min(shape, default=1) < 1:
            raise BundleError(
                f"{graph.file}: {way} {tensor.name!r} would be {shape}; every size is 1 or more"
            )
        shapes[tensor.name] = shape
    return shapes
