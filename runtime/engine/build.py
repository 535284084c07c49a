"""Every graph of a bundle to an engine, through the cache.

All that can be refused is refused by `plan_build`, before a graph is parsed; what `build_bundle` gives is
checked against the manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from cnnrnn.core.bundle import Bundle
from cnnrnn.core.errors import EngineError, MissingDependencyError, OptionsError
from cnnrnn.core.manifest import GraphSpec
from cnnrnn.runtime.engine.bucket import Bucket, Shapes, check_bucket, input_shapes, output_shapes, sizes
from cnnrnn.runtime.engine.builder import Built, build_engine
from cnnrnn.runtime.engine.cache import CachedEngine, EngineCache, EngineKey
from cnnrnn.runtime.engine.cache_entry import BUILDER
from cnnrnn.runtime.engine.device import Device, find_device
from cnnrnn.runtime.engine.library import TENSORRT_RTX, Library, install_advice, load_library, on_jetson
from cnnrnn.runtime.engine.options import BuildOptions, check
from cnnrnn.runtime.engine.report import EngineReport
from cnnrnn.runtime.graph_check import check_contract
from cnnrnn.runtime.precision import precision_for
from cnnrnn.runtime.select import SelectKind, make_select, select_spec

_TURING = "7.5"
# Its matrix products in TensorRT-RTX are of float16 alone.
_TURING_LACKS = {"fp32": "float32", "bf16": "bfloat16"}


@dataclass(frozen=True)
class PlannedEngine:
    """One engine to build: a graph in one size.

    Attributes:
        role: ``"encoder"``, ``"step"`` or ``"select"``.
        spec: the graph's file, in the bundle or as it would be, and its tensors.
        images, beams: B and K; an encoder has no beams.
        graph: ONNX bytes with their weights inside.
        inputs, outputs: by tensor its shape.
    """

    role: str
    spec: GraphSpec
    images: int
    beams: int | None
    graph: bytes = field(repr=False)
    inputs: Shapes
    outputs: Shapes

    @property
    def file(self) -> str:
        """The graph's file."""
        return self.spec.file

    @property
    def name(self) -> str:
        """For a person: ``fp32/step.onnx (1 × 5)``."""
        size = f"{self.images} × {self.beams}" if self.beams else f"{self.images}"
        return f"{self.file} ({size})"


@dataclass(frozen=True)
class BuildPlan:
    """Everything that is known before the first graph is parsed; `plan_build` makes it."""

    library: Library
    device: Device | None
    options: BuildOptions
    precision: str
    engines: tuple[PlannedEngine, ...]

    def key(self, engine: PlannedEngine) -> EngineKey:
        """What the cache knows this engine by."""
        ahead = self.library.ahead_of_time or self.device is None
        shapes = tuple(sorted(engine.inputs.items()))
        return EngineKey(
            graph=hashlib.sha256(engine.graph).hexdigest(),
            library=self.library.name,
            library_version=self.library.version,
            architecture=self.options.architecture,
            cuda="" if ahead or self.device is None else self.device.cuda,
            driver="" if ahead or self.device is None else self.device.driver,
            options=tuple(sorted((("builder", BUILDER), ("shapes", shapes), *self.options.items()))),
        )


@dataclass(frozen=True)
class BundleEngine:
    """An engine of a bundle, from the cache or just built."""

    planned: PlannedEngine
    cached: CachedEngine

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it: which graph in which size, where the engine is, and the report of its build."""
        planned, cached = self.planned, self.cached
        kernels = cached.report["engine_layers"]
        return {
            "role": planned.role,
            "graph": planned.file,
            "images": planned.images,
            "beams": planned.beams,
            "built": cached.built,
            "path": str(cached.path),
            **cached.report,
            "kernels": None if kernels is None else len(kernels),
        }


class BuildWatcher:
    """What is told how far the work is; this one says nothing. What it raises stops the work."""

    def begin(self, number: int, engine: PlannedEngine) -> None:
        """The engine of this number, from 0, is next."""

    def progress(self, share: float, phase: str) -> None:
        """How much of this engine is done, 0 to 1, and what TensorRT is doing."""

    def waiting(self) -> None:
        """Another process builds this engine; it is waited for."""

    def end(self, engine: BundleEngine) -> None:
        """This engine is there."""


def plan_build(
    bundle: Bundle,
    backend: str,
    precision: str | None = None,
    buckets: Iterable[Bucket] = (),
    options: BuildOptions | None = None,
) -> BuildPlan:
    """Find out what is to be built and refuse what cannot be, before any of it is begun.

    Args:
        backend: ``"tensorrt"`` or ``"tensorrt-rtx"``.
        precision: one that the bundle has; by default the one that the backend runs by default.
        buckets: sizes to build for; one image and the bundle's own beams by default.
        options: how; TensorRT's own choices by default.

    Raises:
        OptionsError: an option, a precision or a size that the bundle or this TensorRT does not have.
        MissingDependencyError: TensorRT, or the GPU that it needs, is not here.
        BundleError: the bundle's graphs do not fit together, or a shape depends on values.
    """
    manifest = bundle.manifest
    precision = precision_for(manifest, backend, precision)
    wanted = sorted(set(buckets)) or [Bucket(1, manifest.search.beams)]
    for bucket in wanted:
        check_bucket(bucket, manifest)
    device = find_device()
    library = _library(backend, device)
    options = check_target(library, precision, options or BuildOptions(), device)
    check_contract(manifest, precision)
    return BuildPlan(library, device, options, precision, tuple(_engines(bundle, precision, wanted)))


def _library(backend: str, device: Device | None) -> Library:
    """TensorRT; where it is not installed, it need not be where it would find no GPU to build for."""
    try:
        return load_library(backend)
    except MissingDependencyError as error:
        if backend == TENSORRT_RTX or device is not None or on_jetson():
            raise
        raise MissingDependencyError(
            "the backend tensorrt builds for this machine's GPU, and the driver shows none; take the backend "
            f"{TENSORRT_RTX}, which builds without one. {install_advice(TENSORRT_RTX)}",
            name=error.name,
        ) from error


def build_bundle(
    plan: BuildPlan, cache: EngineCache | None = None, watcher: BuildWatcher | None = None
) -> Iterator[BundleEngine]:
    """Give every engine of a bundle's plan, one after the other, each as soon as the cache has it.

    It stops at the first that TensorRT refuses: what a process builds after that may come out otherwise.

    Args:
        cache: the default folder's by default.

    Raises:
        EngineError: TensorRT refuses a graph, or its engine is not what the manifest says.
        CacheError: the cache's folder cannot be used.
        KeyboardInterrupt: Ctrl-C; the build was stopped, and the cache is as before.
    """
    cache = cache or EngineCache()
    watcher = watcher or BuildWatcher()
    for number, planned in enumerate(plan.engines):
        watcher.begin(number, planned)
        made = BundleEngine(planned, fetch_engine(plan, planned, cache, watcher))
        watcher.end(made)
        yield made


def fetch_engine(
    plan: BuildPlan, planned: PlannedEngine, cache: EngineCache, watcher: BuildWatcher | None = None
) -> CachedEngine:
    """One engine of a plan, or of a graph that is not in it: from the cache, or built.

    Raises:
        EngineError, CacheError, KeyboardInterrupt: as `build_bundle`.
    """
    watcher = watcher or BuildWatcher()
    build = partial(_build, plan, planned, cache, watcher)
    return cache.fetch(plan.key(planned), build, watcher.waiting)


def _engines(bundle: Bundle, precision: str, buckets: Iterable[Bucket]) -> Iterator[PlannedEngine]:
    """Each once: the encoder in each number of images, step and select in each size."""
    graphs = bundle.manifest.precisions[precision]
    read: dict[str, bytes] = {}
    encoders: set[int] = set()
    for bucket in buckets:
        letters = sizes(bundle.manifest, bucket)
        listed = [(role, spec, None) for role, spec in graphs.items()]
        select, made = _select(bundle, bucket.beams)
        for role, spec, data in (*listed, ("select", select, made)):
            beams = None if role == "encoder" else bucket.beams
            if role == "encoder" and bucket.images in encoders:
                continue
            encoders.add(bucket.images)
            if spec.file not in read:
                read[spec.file] = data if data is not None else bundle.graph(spec.file)
            shapes = input_shapes(spec, letters), output_shapes(spec, letters)
            yield PlannedEngine(role, spec, bucket.images, beams, read[spec.file], *shapes)


def _select(bundle: Bundle, beams: int) -> tuple[GraphSpec, bytes | None]:
    """The graph of a plain beam search: the bundle's, or its bytes too where they had to be made."""
    manifest = bundle.manifest
    vocabulary = manifest.vocabulary
    kind = SelectKind(beams, len(vocabulary.end), vocabulary=vocabulary.size, ctc=manifest.ctc is not None)
    carried = manifest.select.get(kind.name)
    if carried is not None:
        return carried, None
    try:
        return select_spec(f"select/{kind.name}.onnx", kind), make_select(kind)
    except MissingDependencyError as error:
        raise MissingDependencyError(
            f"bundle {manifest.name!r} carries no graph of the search with {beams} beams (cnnrnn inspect "
            "lists them); the package onnx makes it: pip install onnx",
            name="onnx",
        ) from error


def check_target(
    library: Library, precision: str, options: BuildOptions, device: Device | None
) -> BuildOptions:
    """The options with their target, once this TensorRT can build this precision for it.

    Raises:
        OptionsError: an option that this TensorRT does not have, or a precision that the target does not.
        MissingDependencyError: the GPU that it needs is not here.
    """
    options = check(options, library, device)
    lacking = _TURING_LACKS.get(precision)
    if library.name == TENSORRT_RTX and lacking and _TURING in options.compute_capabilities:
        raise OptionsError(
            f"{library.title} has no {lacking} matrix products for compute capability {_TURING}; build "
            f"precision fp16 for it, or leave {_TURING} out"
        )
    return options


def _build(plan: BuildPlan, planned: PlannedEngine, cache: EngineCache, watcher: BuildWatcher) -> Built:
    library, architecture = plan.library, plan.options.architecture
    keeps = plan.options.timing_cache and library.name != TENSORRT_RTX
    known = cache.timing_cache(library.name, library.version, architecture) if keeps else None
    built = build_engine(
        library,
        planned.graph,
        planned.inputs,
        plan.options,
        timing_cache=known,
        progress=watcher.progress,
        name=planned.name,
    )
    _check_tensors(library, planned, built.report)
    if keeps and built.timing_cache and built.timing_cache != known:
        cache.store_timing_cache(library.name, library.version, architecture, built.timing_cache)
    return built


def _check_tensors(library: Library, planned: PlannedEngine, report: EngineReport) -> None:
    """The engine has the manifest's names, types and shapes: TensorRT takes float64 and makes it float32."""
    for way, specs, shapes, made in (
        ("input", planned.spec.inputs, planned.inputs, report.inputs),
        ("output", planned.spec.outputs, planned.outputs, report.outputs),
    ):
        wanted = {tensor.name: (tensor.dtype, shapes[tensor.name]) for tensor in specs}
        found = {tensor.name: (tensor.dtype, tensor.shape) for tensor in made}
        for name in {**wanted, **found}:
            if wanted.get(name) != found.get(name):
                raise EngineError(
                    f"{planned.file}: {library.title} makes {way} {name!r} {_tensor(found.get(name))}, the "
                    f"manifest says {_tensor(wanted.get(name))}; export the bundle again with this "
                    "version of cnnrnn"
                )


def _tensor(found: tuple[str, tuple[int, ...]] | None) -> str:
    return "nothing" if found is None else f"{found[0]} {found[1]}"
