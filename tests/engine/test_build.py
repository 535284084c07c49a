"""Every graph of a bundle to an engine, through the cache."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx
import pytest

from cnnrnn.core.bundle import Bundle, write_bundle
from cnnrnn.core.errors import (
    BundleError,
    EngineError,
    MissingDependencyError,
    OptionsError,
    UnknownBundleError,
)
from cnnrnn.core.manifest import GraphSpec, Manifest
from cnnrnn.runtime.engine import build as building
from cnnrnn.runtime.engine.bucket import Bucket
from cnnrnn.runtime.engine.build import (
    BuildPlan,
    BuildWatcher,
    BundleEngine,
    PlannedEngine,
    build_bundle,
    plan_build,
)
from cnnrnn.runtime.engine.builder import Built
from cnnrnn.runtime.engine.cache import EngineCache
from cnnrnn.runtime.engine.device import Device
from cnnrnn.runtime.engine.library import TENSORRT, TENSORRT_RTX, Library, load_library
from cnnrnn.runtime.engine.options import BuildOptions
from cnnrnn.runtime.engine.report import EngineReport, TensorReport
from tests.engine import onnx_graphs
from tests.engine.rigs import bindings

GPU = Device("Orin", "8.7", "540.4.0", "12.6")
AMPERE = BuildOptions(compute_capabilities=("8.6",))


@pytest.fixture(scope="module")
def rtx() -> Library:
    bindings.rtx_libraries()
    return load_library(TENSORRT_RTX)


@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch) -> Library:
    """A TensorRT proper that builds whatever it is asked for, without a graph being looked at."""
    library = Library(TENSORRT, ModuleType("tensorrt"), "10.3.0")
    monkeypatch.setattr(building, "load_library", lambda name: library)
    monkeypatch.setattr(building, "find_device", lambda: GPU)
    return library


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "cache")


class Watcher(BuildWatcher):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []
        self.shares: list[float] = []

    def begin(self, number: int, engine: PlannedEngine) -> None:
        self.told.append((engine.name, number))

    def progress(self, share: float, phase: str) -> None:
        self.shares.append(share)

    def end(self, engine: BundleEngine) -> None:
        self.told.append((engine.planned.name, engine.cached.built))


def altered(
    folder: Path,
    target: Path,
    change: Callable[[Manifest], Manifest],
    files: dict[str, bytes] | None = None,
) -> Bundle:
    """A bundle with another manifest, and other files."""
    bundle = Bundle.open(folder)
    inside = {name: bundle.read(name) for name in bundle.manifest.files}
    return write_bundle(target, change(bundle.manifest), {**inside, **(files or {})})


def with_step(change: Callable[[GraphSpec], GraphSpec]) -> Callable[[Manifest], Manifest]:
    def changed(manifest: Manifest) -> Manifest:
        pair = manifest.precisions["fp32"]
        return dataclasses.replace(manifest, precisions={"fp32": {**pair, "step": change(pair["step"])}})

    return changed


def rtx_plan(bundle: Bundle) -> BuildPlan:
    return plan_build(bundle, TENSORRT_RTX, options=AMPERE)


def names(plan: BuildPlan) -> list[str]:
    return [engine.name for engine in plan.engines]


def test_what_a_bundle_needs(colour_bundle: Path, tensorrt: Library) -> None:
    bundle = Bundle.open(colour_bundle)
    assert names(plan_build(bundle, TENSORRT)) == [
        "fp32/encoder.onnx (1)",
        "fp32/step.onnx (1 × 5)",
        "select/beam5.onnx (1 × 5)",
    ]
    buckets = (Bucket(4, 5), Bucket(1, 1), Bucket(1, 5), Bucket(1, 1))
    plan = plan_build(bundle, TENSORRT, "fp32", buckets)
    assert names(plan) == [
        "fp32/encoder.onnx (1)",  # once for every number of images: it has no beams
        "fp32/step.onnx (1 × 1)",
        "select/beam1.onnx (1 × 1)",
        "fp32/step.onnx (1 × 5)",
        "select/beam5.onnx (1 × 5)",
        "fp32/encoder.onnx (4)",
        "fp32/step.onnx (4 × 5)",
        "select/beam5.onnx (4 × 5)",
    ]
    assert len({plan.key(engine).digest for engine in plan.engines}) == 8
    step = plan.engines[-2]
    assert (step.role, step.images, step.beams) == ("step", 4, 5)
    assert step.inputs["tokens"] == (4, 5)
    assert step.outputs["logits"] == (4, 5, 9)


def test_a_search_that_the_bundle_does_not_carry_is_made(
    colour_bundle: Path, tensorrt: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_build(Bundle.open(colour_bundle), TENSORRT, buckets=[Bucket(1, 3)])
    assert plan.engines[-1].name == "select/beam3.onnx (1 × 3)"
    assert plan.engines[-1].graph

    def missing(kind: object) -> bytes:
        raise MissingDependencyError("no onnx")

    monkeypatch.setattr(building, "make_select", missing)
    with pytest.raises(MissingDependencyError, match=r"with 3 beams.*pip install onnx"):
        plan_build(Bundle.open(colour_bundle), TENSORRT, buckets=[Bucket(1, 3)])


def test_the_key_is_of_all_that_an_engine_depends_on(
    colour_bundle: Path, tensorrt: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Bundle.open(colour_bundle)

    def key(**changes: Any) -> Any:
        plan = plan_build(bundle, TENSORRT, options=BuildOptions(**changes))
        return plan.key(plan.engines[1])

    first = key()
    assert (first.library, first.library_version) == ("tensorrt", "10.3.0")
    assert (first.architecture, first.driver, first.cuda) == ("sm87", "540.4.0", "12.6")
    options = dict(first.options)
    assert options["builder"] == building.BUILDER
    assert dict(options["shapes"])["tokens"] == (1, 5)
    assert key() == first
    assert key(timing_cache=False) == first
    for changes in ({"workspace_mib": 64}, {"optimization_level": 2}, {"refit": True}):
        assert key(**changes).digest != first.digest
    newer = dataclasses.replace(tensorrt, version="10.7.0")
    monkeypatch.setattr(building, "load_library", lambda name: newer)
    assert key().digest != first.digest
    monkeypatch.setattr(building, "load_library", lambda name: tensorrt)
    monkeypatch.setattr(building, "find_device", lambda: dataclasses.replace(GPU, driver="580.0.0"))
    assert key().digest != first.digest


def test_an_engine_built_ahead_of_time_is_for_any_driver(
    colour_bundle: Path, rtx: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Bundle.open(colour_bundle)
    keys = []
    for device in (None, GPU):
        monkeypatch.setattr(building, "find_device", lambda device=device: device)
        plan = rtx_plan(bundle)
        keys.append([plan.key(engine) for engine in plan.engines])
    assert keys[0] == keys[1]
    assert (keys[0][0].driver, keys[0][0].cuda, keys[0][0].architecture) == ("", "", "sm86")


def test_each_is_built_once(colour_bundle: Path, rtx: Library, cache: EngineCache) -> None:
    bundle = Bundle.open(colour_bundle)
    watcher = Watcher()
    first = list(build_bundle(rtx_plan(bundle), cache, watcher))
    assert [engine.cached.built for engine in first] == [True] * 3
    assert watcher.told[:3] == [
        ("fp32/encoder.onnx (1)", 0),
        ("fp32/encoder.onnx (1)", True),
        ("fp32/step.onnx (1 × 5)", 1),
    ]
    assert watcher.shares
    again = list(build_bundle(rtx_plan(bundle), cache))
    assert [engine.cached.built for engine in again] == [False] * 3
    for one, other in zip(first, again, strict=True):
        assert one.cached.engine == other.cached.engine
        assert {**one.to_dict(), "built": False} == other.to_dict()
    step = json.loads(json.dumps(first[1].to_dict()))
    assert (step["role"], step["graph"], step["images"], step["beams"]) == ("step", "fp32/step.onnx", 1, 5)
    assert step["bytes"] == len(first[1].cached.engine)
    assert step["kernels"] == len(step["engine_layers"]) > 0
    assert step["inputs"][0] == {"name": "tokens", "dtype": "int32", "shape": [1, 5]}
    assert step["outputs"][0] == {"name": "logits", "dtype": "float32", "shape": [1, 5, 9]}


def test_weights_that_lie_in_another_precisions_file(
    colour_bundle: Path, tmp_path: Path, rtx: Library, cache: EngineCache
) -> None:
    """No parser is left to look for a file."""
    fp32 = Bundle.open(colour_bundle).read("fp32/step.onnx")
    model = onnx.load_from_string(fp32)
    for tensor in model.graph.initializer:
        raw = bytes(tensor.raw_data)
        if len(raw) > 64:
            places = {"location": "../fp32/step.onnx", "offset": fp32.index(raw), "length": len(raw)}
            for key, value in places.items():
                tensor.external_data.add(key=key, value=str(value))
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.ClearField("raw_data")

    def both(manifest: Manifest) -> Manifest:
        pair = manifest.precisions["fp32"]
        step = dataclasses.replace(pair["step"], file="fp16/step.onnx")
        precisions = {"fp32": pair, "fp16": {**pair, "step": step}}
        return dataclasses.replace(manifest, precisions=precisions)

    files = {"fp16/step.onnx": model.SerializeToString()}
    bundle = altered(colour_bundle, tmp_path / "bundle", both, files)
    assert len(files["fp16/step.onnx"]) < len(fp32)
    plan = plan_build(bundle, TENSORRT_RTX, "fp16", options=AMPERE)
    assert plan.precision == "fp16"
    assert onnx.load_from_string(plan.engines[1].graph) == onnx.load_from_string(fp32)
    assert [engine.planned.file for engine in build_bundle(plan, cache)][1] == "fp16/step.onnx"


def test_a_graph_that_is_refused_ends_the_work(
    colour_bundle: Path, tmp_path: Path, rtx: Library, cache: EngineCache
) -> None:
    files = {"fp32/step.onnx": onnx_graphs.unknown_operator()}
    bundle = altered(colour_bundle, tmp_path / "bundle", lambda manifest: manifest, files)
    engines = build_bundle(rtx_plan(bundle), cache)
    assert next(engines).planned.role == "encoder"
    with pytest.raises(EngineError, match=r"fp32/step.onnx .1 × 5.: .* refuses node 'decoder.mask/Wild'"):
        next(engines)
    assert [entry.report["library"] for entry in cache.entries()] == ["tensorrt-rtx"]


def test_a_shape_that_depends_on_values_is_refused_before_any_work(
    colour_bundle: Path, tmp_path: Path, tensorrt: Library
) -> None:
    def longer(step: GraphSpec) -> GraphSpec:
        last = dataclasses.replace(step.outputs[1], shape=("B", "K", "N"))
        return dataclasses.replace(step, outputs=(step.outputs[0], last, *step.outputs[2:]))

    bundle = altered(colour_bundle, tmp_path / "bundle", with_step(longer))
    with pytest.raises(BundleError, match="output 'next_state_age' has the dimension 'N'"):
        plan_build(bundle, TENSORRT)


def test_an_engine_that_is_not_what_the_manifest_says(
    colour_bundle: Path, tmp_path: Path, rtx: Library, cache: EngineCache
) -> None:
    def wider(step: GraphSpec) -> GraphSpec:
        alignment = dataclasses.replace(step.outputs[2], dtype="float16")
        return dataclasses.replace(step, outputs=(*step.outputs[:2], alignment))

    bundle = altered(colour_bundle, tmp_path / "bundle", with_step(wider))
    with pytest.raises(EngineError, match=r"output 'alignment' float32 \(1, 5, 4\), the manifest says"):
        list(build_bundle(rtx_plan(bundle), cache))
    assert len(cache.entries()) == 1  # the encoder's


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"precision": "int9"}, r"precision='int9' is not in bundle 'colours'; give one of fp32"),
        ({"buckets": [Bucket(1, 6)]}, "beams=6 is above the 5"),
        ({"buckets": [Bucket(1, 5), Bucket(99, 1)]}, "images=99 is above 16"),
        ({"options": AMPERE}, "alone, not for"),
    ],
)
def test_wrong_requests(wanted: dict[str, Any], words: str, colour_bundle: Path, tensorrt: Library) -> None:
    with pytest.raises(OptionsError, match=words):
        plan_build(Bundle.open(colour_bundle), TENSORRT, **wanted)


def test_another_backend(colour_bundle: Path) -> None:
    with pytest.raises(OptionsError, match="'ort-cpu' builds no engines"):
        plan_build(Bundle.open(colour_bundle), "ort-cpu")


def test_no_gpu_for_tensorrt_is_exit_code_3(
    colour_bundle: Path, tensorrt: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "find_device", lambda: None)
    with pytest.raises(MissingDependencyError, match="no NVIDIA GPU with a driver") as raised:
        plan_build(Bundle.open(colour_bundle), TENSORRT)
    assert raised.value.exit_code == 3


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", "float32"), ("bf16", "bfloat16")])
def test_what_turing_has_no_products_of_is_refused_before_any_work(
    precision: str, dtype: str, colour_bundle: Path, tmp_path: Path, rtx: Library
) -> None:
    def both(manifest: Manifest) -> Manifest:
        pair = manifest.precisions["fp32"]
        return dataclasses.replace(manifest, precisions={"fp32": pair, "bf16": pair})

    bundle = altered(colour_bundle, tmp_path / "bundle", both)
    for targets in (("7.5",), ("7.5", "8.6")):
        with pytest.raises(OptionsError, match=rf"no {dtype} .* capability 7.5; build precision fp16"):
            plan_build(bundle, TENSORRT_RTX, precision, options=BuildOptions(compute_capabilities=targets))


def test_an_unknown_architecture(colour_bundle: Path, rtx: Library) -> None:
    options = BuildOptions(compute_capabilities=("9.9",))
    with pytest.raises(OptionsError, match=r"9\.9; it knows 7\.5, 8\.0, 8\.6"):
        plan_build(Bundle.open(colour_bundle), TENSORRT_RTX, options=options)


def test_a_damaged_bundle(colour_bundle: Path, tmp_path: Path, tensorrt: Library) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(colour_bundle, folder)
    step = folder / "fp32" / "step.onnx"
    step.write_bytes(b"x" * step.stat().st_size)
    with pytest.raises(BundleError, match=r"step.onnx was altered"):
        plan_build(Bundle.open(folder), TENSORRT)
    with pytest.raises(UnknownBundleError):
        Bundle.open(tmp_path / "nothing")


def test_what_was_measured_is_kept_for_the_next_build(
    colour_bundle: Path, tensorrt: Library, cache: EngineCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[bytes | None] = []

    def built(library: Library, graph: bytes, shapes: Any, options: BuildOptions, **more: Any) -> Built:
        given.append(more["timing_cache"])
        planned = next(engine for engine in plan.engines if engine.graph == graph)
        inputs, outputs = (
            tuple(TensorReport(tensor.name, tensor.dtype, sizes[tensor.name]) for tensor in tensors)
            for tensors, sizes in (
                (planned.spec.inputs, planned.inputs),
                (planned.spec.outputs, planned.outputs),
            )
        )
        report = EngineReport(
            name=planned.name,
            library=library.name,
            version=library.version,
            architecture=options.architecture,
            inputs=inputs,
            outputs=outputs,
            layers=1,
            casts=0,
            float_casts=0,
            layer_types={},
            engine_layers=None,
            bytes=6,
            build_seconds=0.5,
        )
        return Built(b"engine", report, (more["timing_cache"] or b"") + b"+" if options.timing_cache else b"")

    monkeypatch.setattr(building, "build_engine", built)
    plan = plan_build(Bundle.open(colour_bundle), TENSORRT)
    list(build_bundle(plan, cache))
    assert given == [None, b"+", b"++"]
    assert cache.timing_cache("tensorrt", "10.3.0", "sm87") == b"+++"
    options = BuildOptions(timing_cache=False, workspace_mib=8)
    plan = plan_build(Bundle.open(colour_bundle), TENSORRT, options=options)
    list(build_bundle(plan, cache))
    assert given[3:] == [None] * 3
