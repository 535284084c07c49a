"""The building code against what each TensorRT really has: its names, and its calls with their arguments.

The surfaces are of the Python bindings themselves, 10.3 to 11.4 and TensorRT-RTX's, see ``rigs/surfaces``.
"""

from __future__ import annotations

import ast
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from cnnrnn.core.bundle import Bundle
from cnnrnn.core.errors import EngineError, OptionsError
from cnnrnn.runtime.engine.bucket import Bucket, Shapes, input_shapes, sizes
from cnnrnn.runtime.engine.builder import build_engine
from cnnrnn.runtime.engine.device import Device
from cnnrnn.runtime.engine.library import TENSORRT, TENSORRT_RTX, Library
from cnnrnn.runtime.engine.options import BuildOptions, check
from tests.engine import onnx_graphs
from tests.engine.rigs import bindings, surface
from tests.engine.rigs.recorder import Recorder
from tests.engine.rigs.surface import NAMES, RTX, Surface

OLDEST, NEWEST = bindings.VERSIONS[0], bindings.VERSIONS[-1]
GPU = Device("a stand-in", "8.6", "580.82.07", "13.0")
RUNTIME = bindings.ROOT / "runtime"

# Names that not every version has: where they are, and so what the code asks before it uses them.
ONLY_IN = {
    "ComputeCapability": {RTX},
    "num_compute_capabilities": {RTX},
    "set_compute_capability": {RTX},
}
# Names that Python's own objects have too: only the recorder tells whose they are.
PYTHONS = frozenset(
    name for item in (bytes, dict, list, set, str, Path, io.BytesIO, hashlib.sha256()) for name in dir(item)
)
PRECISION = ("FP16", "BF16", "INT8", "FP8", "OBEY_PRECISION_CONSTRAINTS", "PREFER_PRECISION_CONSTRAINTS")
OPTIONS = {
    "nothing": BuildOptions(),
    "workspace": BuildOptions(workspace_mib=64),
    "level": BuildOptions(optimization_level=5),
    "ampere": BuildOptions(hardware_compatible="ampere+"),
    "same": BuildOptions(hardware_compatible="same"),
    "versions": BuildOptions(version_compatible=True),
    "refit": BuildOptions(refit=True),
    "untimed": BuildOptions(timing_cache=False),
    "everything": BuildOptions(
        compute_capabilities=("8.6",),
        workspace_mib=64,
        optimization_level=0,
        hardware_compatible="ampere+",
        version_compatible=True,
        refit=True,
        timing_cache=False,
    ),
}
# What is refused, by version, with the word that has to be in the message.
REFUSED = {
    (OLDEST, "same"): "hardware_compatible",
    ("10.7.0", "same"): "hardware_compatible",
    (RTX, "level"): "optimization_level",
    (RTX, "ampere"): "hardware_compatible",
    (RTX, "same"): "hardware_compatible",
    (RTX, "versions"): "version_compatible",
    (RTX, "everything"): "hardware_compatible",
}


@pytest.mark.parametrize("name", NAMES)
def test_surface_is_what_the_bindings_say(name: str, tmp_path: Path) -> None:
    said = surface.dump(name, tmp_path)
    kept = surface.path_of(name).read_text()
    assert said == kept, "make it again with: python -m tests.engine.rigs.surface"


def test_every_pinned_version_is_kept() -> None:
    assert {path.stem for path in surface.path_of(RTX).parent.iterdir()} == set(NAMES)
    assert len({Surface.load(name).version for name in NAMES}) == len(NAMES) == 5


@pytest.mark.parametrize("name", [NEWEST, RTX])
def test_what_11_no_longer_has(name: str) -> None:
    found, old = Surface.load(name), Surface.load(OLDEST)
    for flag in PRECISION:
        assert flag not in found.enums["BuilderFlag"]
        assert flag in old.enums["BuilderFlag"]
    gone = ("EXPLICIT_BATCH", "platform_has_fast_fp16", "int8_calibrator", "device_memory_size")
    assert not found.names() & set(gone)
    assert old.names() >= set(gone)


def test_what_10_3_does_not_have_yet() -> None:
    later = {"build_serialized_network_to_stream", "tiling_optimization_level", "l2_limit_for_tiling"}
    assert not Surface.load(OLDEST).names() & later
    assert Surface.load(NEWEST).names() >= later


@pytest.mark.parametrize("name", NAMES)
def test_every_name_that_the_code_uses_is_there(name: str) -> None:
    known = frozenset().union(*(Surface.load(other).names() for other in NAMES))
    here = Surface.load(name).names()
    used = {word: where for word, where in _used() if word in known - PYTHONS}
    assert {"build_serialized_network", "STRONGLY_TYPED", "IProgressMonitor", "set_shape"} <= set(used)
    assert {"deserialize_cuda_engine", "execute_async_v3", "set_tensor_address"} <= set(used)
    lacking = {
        word: where for word, where in used.items() if word not in here and name in ONLY_IN.get(word, NAMES)
    }
    assert not lacking
    for word, versions in ONLY_IN.items():
        assert {other for other in NAMES if word in Surface.load(other).names()} == versions


def test_no_runtime_is_made_where_engines_are_built() -> None:
    """Without a driver its constructor ends the process."""
    builder = RUNTIME / "engine"
    assert not [where for word, where in _used(builder) if word in ("Runtime", "Refitter")]


@pytest.mark.parametrize("case", OPTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_builds_with_exactly_this_surface(name: str, case: str, colour_bundle: Path) -> None:
    recorder, library = _play(name)
    wanted = REFUSED.get((name, case))
    if wanted is not None:
        with pytest.raises(OptionsError, match=wanted):
            check(OPTIONS[case], library, GPU)
        assert not recorder.calls
        return

    options = check(OPTIONS[case], library, GPU)
    for file, graph, shapes in _graphs(colour_bundle):
        recorder.calls.clear()
        built = build_engine(library, graph, shapes, options, timing_cache=b"earlier ", name=file)
        assert built.engine == recorder.engine
        _check_calls(recorder, shapes, options, rtx=name == RTX)
        caches = [
            call.arguments["serialized_timing_cache"] for call in recorder.called("create_timing_cache")
        ]
        timed = options.timing_cache and name != RTX
        assert caches == ([b"earlier "] if timed else [])
        assert built.timing_cache == (b"earlier timed " if timed else b"")


@pytest.mark.parametrize("name", NAMES)
def test_reports_what_the_network_has(name: str, colour_bundle: Path) -> None:
    _, library = _play(name)
    file, graph, shapes = next(_graphs(colour_bundle))
    report = build_engine(library, graph, shapes, check(BuildOptions(), library, GPU), name=file).report
    assert (report.library, report.version) == (library.name, library.version)
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in report.inputs] == [
        ("image", "uint8", shapes["image"])
    ]
    assert [tensor.name for tensor in report.outputs] == ["memory_colour", "state_age"]
    assert (report.casts, report.float_casts) == (1, 0)


@pytest.mark.parametrize("name", NAMES)
def test_refusals_and_failures_of_this_surface(name: str, colour_bundle: Path) -> None:
    file, graph, shapes = next(_graphs(colour_bundle))
    said = {
        "code": None,
        "desc": "no importer registered for op: Wild",
        "file": "a.cpp",
        "func": "f",
        "line": 1,
        "node": 1,
        "node_name": "decoder.out/Wild",
        "node_operator": "Wild",
    }
    _, refusing = _play(name, refusal=said)
    with pytest.raises(EngineError, match=r"'decoder.out/Wild'.*Wild.*module decoder.out"):
        build_engine(refusing, graph, shapes, check(BuildOptions(), refusing, GPU), name=file)
    _, failing = _play(name, engine=None)
    with pytest.raises(EngineError, match=r"encoder\.onnx"):
        build_engine(failing, graph, shapes, check(BuildOptions(), failing, GPU), name=file)


@pytest.mark.parametrize("name", NAMES)
def test_a_refusal_tells_the_types_of_what_was_made_before_it(name: str) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["half"], to=TensorProto.FLOAT16, name="decoder.out/Cast"),
        helper.make_node("Add", ["half", "w"], ["sum"], name="decoder.out/Add"),
        helper.make_node("Wild", ["half", "sum", "x", "late"], ["y"], name="decoder.out/Wild"),
        helper.make_node("Cast", ["x"], ["late"], to=TensorProto.FLOAT16, name="decoder.out/Late"),
    ]
    graph = onnx_graphs.model(nodes, [onnx_graphs.X], ("y", TensorProto.FLOAT, None), w=np.float16(1))
    said = {"desc": "no importer", "node": 2, "node_name": "decoder.out/Wild", "node_operator": "Wild"}
    _, library = _play(name, refusal=said, untyped=frozenset({"sum"}))
    with pytest.raises(EngineError) as raised:
        build_engine(library, graph, {"x": (1, 4)}, check(BuildOptions(), library, GPU))
    wanted = "of 'half' float16, 'sum' (a constant), 'x' float32, 'late' (a constant) (module decoder.out"
    assert wanted in str(raised.value)


@pytest.mark.parametrize("name", [name for name in NAMES if name != RTX])
@pytest.mark.parametrize("foreign", [(b"earlier ",), (b"earlier ", b"")])
def test_a_timing_cache_that_does_not_fit_is_begun_anew(name: str, foreign: tuple[bytes, ...]) -> None:
    """Or there is none, and the engine is built all the same."""
    recorder, library = _play(name, foreign=frozenset(foreign))
    options = check(BuildOptions(), library, GPU)
    built = build_engine(library, onnx_graphs.product(), {"x": (1, 4)}, options, timing_cache=b"earlier ")
    tried = [call.arguments["serialized_timing_cache"] for call in recorder.called("create_timing_cache")]
    assert tried == [b"earlier ", b""]
    assert {call.arguments["ignore_mismatch"] for call in recorder.called("set_timing_cache")} == {False}
    assert built.timing_cache == (b"" if b"" in foreign else b"timed ")
    assert built.engine == recorder.engine


@pytest.mark.parametrize("name", NAMES)
def test_progress_stops_the_build(name: str, colour_bundle: Path) -> None:
    class Enough(Exception):
        pass

    seen: list[float] = []

    def progress(share: float, what: str) -> None:
        seen.append(share)
        if len(seen) == 2:
            raise Enough

    _, library = _play(name, steps=4)
    file, graph, shapes = next(_graphs(colour_bundle))
    with pytest.raises(Enough):
        build_engine(
            library, graph, shapes, check(BuildOptions(), library, GPU), progress=progress, name=file
        )
    assert seen == [0.25, 0.5]


class TestRecorder:
    """The rig itself refuses what pybind11 refuses."""

    def test_a_name_that_is_not_there(self) -> None:
        module = Recorder(Surface.load(NEWEST)).module
        with pytest.raises(AttributeError, match="IInt8Calibrator"):
            _ = module.IInt8Calibrator
        with pytest.raises(AttributeError):
            _ = module.BuilderFlag.FP16
        config = module.Builder(_logger(module)).create_builder_config()
        with pytest.raises(AttributeError, match="int8_calibrator"):
            config.int8_calibrator = None

    def test_wrong_arguments(self) -> None:
        module = Recorder(Surface.load(OLDEST)).module
        builder = module.Builder(_logger(module))
        config = builder.create_builder_config()
        for call in (
            lambda: config.set_flag("FP16"),
            lambda: config.set_flag(module.MemoryPoolType.WORKSPACE),
            lambda: config.set_memory_pool_limit(module.MemoryPoolType.WORKSPACE, "1"),
            lambda: config.set_timing_cache(config.create_timing_cache(b""), mismatch=False),
            lambda: builder.create_network(0, 1),
            lambda: module.INetworkDefinition(),
        ):
            with pytest.raises(TypeError):
                call()
        with pytest.raises(AttributeError):
            _ = builder.build_serialized_network_to_stream

    def test_a_runtime(self) -> None:
        module = Recorder(Surface.load(OLDEST)).module
        with pytest.raises(AssertionError, match="a Runtime was made"):
            module.Runtime(_logger(module))


def _check_calls(recorder: Recorder, shapes: Shapes, options: BuildOptions, *, rtx: bool) -> None:
    (network,) = recorder.called("create_network")
    assert recorder.decoded("NetworkDefinitionCreationFlag", network.arguments["flags"]) == {"STRONGLY_TYPED"}
    profile = {call.arguments["input"]: call.arguments for call in recorder.called("set_shape")}
    assert {key: {value["min"], value["opt"], value["max"]} for key, value in profile.items()} == {
        key: {shape} for key, shape in shapes.items()
    }
    flags = {
        "VERSION_COMPATIBLE": options.version_compatible,
        "REFIT": options.refit,
        "DISABLE_TIMING_CACHE": not options.timing_cache and not rtx,
    }
    assert recorder.flags() == {flag for flag, wanted in flags.items() if wanted}
    limits = [
        (call.arguments["pool"].name, call.arguments["pool_size"])
        for call in recorder.called("set_memory_pool_limit")
    ]
    assert limits == (
        [] if options.workspace_mib is None else [("WORKSPACE", options.workspace_mib * 1024**2)]
    )
    levels = [call.arguments["value"] for call in recorder.called("builder_optimization_level=")]
    assert levels == ([] if options.optimization_level is None else [options.optimization_level])
    targets = [
        call.arguments["compute_capability"].name for call in recorder.called("set_compute_capability")
    ]
    assert targets == (["SM86"] if rtx else [])
    assert len(recorder.called("build_serialized_network")) == 1


def _play(name: str, **played: Any) -> tuple[Recorder, Library]:
    recorder = Recorder(Surface.load(name), **played)
    backend = TENSORRT_RTX if name == RTX else TENSORRT
    return recorder, Library(backend, recorder.module, recorder.module.__version__)


def _logger(module: Any) -> Any:
    return module.Logger(module.Logger.Severity.ERROR)


def _graphs(folder: Path) -> Iterator[tuple[str, bytes, Shapes]]:
    bundle = Bundle.open(folder)
    letters = sizes(bundle.manifest, Bucket(4, 5))
    for spec in (*bundle.manifest.precisions["fp32"].values(), bundle.manifest.select["beam5"]):
        yield spec.file, bundle.read(spec.file), input_shapes(spec, letters)


def _used(folder: Path = RUNTIME) -> Iterator[tuple[str, str]]:
    """Every attribute that the runtime's files which have TensorRT's module read, set or call, and where."""
    for file in sorted(folder.rglob("*.py")):
        text = file.read_text()
        if file.parent.name != "engine" and "runtime.engine.library import" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute):
                yield node.attr, f"{file.relative_to(bindings.ROOT)}:{node.lineno}"
