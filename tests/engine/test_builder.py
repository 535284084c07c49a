"""One engine of one graph, by TensorRT-RTX where there is no GPU."""

from __future__ import annotations

import pytest

from cnnrnn.core.bundle import Bundle
from cnnrnn.core.errors import EngineError
from cnnrnn.runtime.engine.bucket import Bucket, input_shapes, sizes
from cnnrnn.runtime.engine.builder import Built, build_engine
from cnnrnn.runtime.engine.device import Device
from cnnrnn.runtime.engine.library import TENSORRT, TENSORRT_RTX, Library, load_library
from cnnrnn.runtime.engine.options import BuildOptions, check
from tests.engine import onnx_graphs
from tests.engine.rigs import bindings
from tests.engine.rigs.recorder import Recorder
from tests.engine.rigs.surface import NAMES, RTX, Surface


@pytest.fixture(scope="module")
def rtx() -> Library:
    bindings.rtx_libraries()
    return load_library(TENSORRT_RTX)


def build(library: Library, graph: bytes, shapes: dict[str, tuple[int, ...]], **options: object) -> Built:
    given = BuildOptions(**{"compute_capabilities": ("8.6",), **options})  # type: ignore[arg-type]
    return build_engine(library, graph, shapes, check(given, library), name="fp32/step.onnx")


def test_an_engine_and_what_it_took(rtx: Library) -> None:
    built = build(rtx, onnx_graphs.product(), {"x": (3, 4)})
    report = built.report
    assert report.bytes == len(built.engine) > 0
    assert built.timing_cache == b""  # its builder measures nothing
    assert (report.library, report.version, report.architecture) == ("tensorrt-rtx", rtx.version, "sm86")
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in report.inputs + report.outputs] == [
        ("x", "float32", (3, 4)),
        ("y", "float32", (3, 64)),
    ]
    assert report.layer_types == {"constant": 1, "matrix_multiply": 1}
    assert report.layers == 2
    assert (report.casts, report.float_casts) == (0, 0)
    assert report.engine_layers
    assert any("decoder.out/MatMul" in layer.nodes for layer in report.engine_layers)
    assert 0 < report.build_seconds < 60
    assert report.activation_bytes is not None
    assert report.to_dict()["inputs"][0] == {"name": "x", "dtype": "float32", "shape": (3, 4)}


def test_one_engine_for_several_gpus(rtx: Library) -> None:
    one = build(rtx, onnx_graphs.product(), {"x": (3, 4)})
    two = build(rtx, onnx_graphs.product(), {"x": (3, 4)}, compute_capabilities=("8.6", "12.0"))
    assert two.report.architecture == "sm86+sm120"
    assert len(two.engine) > len(one.engine)


def test_progress_goes_from_nothing_up(rtx: Library) -> None:
    seen: list[tuple[float, str]] = []
    options = check(BuildOptions(compute_capabilities=("8.6",)), rtx)
    build_engine(
        rtx,
        onnx_graphs.product(),
        {"x": (3, 4)},
        options,
        progress=lambda share, phase: seen.append((share, phase)),
    )
    shares = [share for share, _ in seen]
    assert shares == sorted(shares)
    assert 0 <= shares[0] < 0.5 < shares[-1] <= 1
    assert len({phase for _, phase in seen}) > 2


def test_what_the_progress_raises_comes_out_and_the_next_build_is_whole(rtx: Library) -> None:
    def progress(share: float, phase: str) -> None:
        if share > 0.3:
            raise ZeroDivisionError("enough")

    options = check(BuildOptions(compute_capabilities=("8.6",)), rtx)
    with pytest.raises(ZeroDivisionError, match="enough"):
        build_engine(rtx, onnx_graphs.product(), {"x": (3, 4)}, options, progress=progress)
    assert build(rtx, onnx_graphs.product(), {"x": (3, 4)}).engine


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({}, "no shape is given for input 'x'; given are none"),
        ({"z": (1, 4)}, "no shape is given for input 'x'; given are z"),
        ({"x": (1, 5)}, r"input 'x' is \(-1, 4\) in the graph.*\(1, 5\) does not fit"),
        ({"x": (1, 4, 1)}, "does not fit"),
        ({"x": (1, 4), "z": (1,)}, "has no input 'z'; it has x"),
    ],
)
def test_shapes_that_do_not_fit(rtx: Library, shapes: dict[str, tuple[int, ...]], words: str) -> None:
    with pytest.raises(EngineError, match=words):
        build(rtx, onnx_graphs.product(), shapes)


def test_a_workspace_too_small(rtx: Library) -> None:
    bundle = Bundle.open("emoji")
    step = bundle.manifest.precisions["fp32"]["step"]
    shapes = input_shapes(step, sizes(bundle.manifest, Bucket(1, 5)))
    with pytest.raises(EngineError, match=r"A workspace of 1 MiB is too small; give a larger one") as raised:
        build(rtx, bundle.read(step.file), shapes, workspace_mib=1)
    assert "--workspace-mib" in str(raised.value)


@pytest.mark.parametrize("allowed", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_float32_is_what_the_graph_says(name: str, allowed: bool) -> None:
    """TensorRT rounds what float32 products multiply unless it is told not to."""
    recorder = Recorder(Surface.load(name))
    library = Library(TENSORRT_RTX if name == RTX else TENSORRT, recorder.module, recorder.module.__version__)
    options = check(BuildOptions(tf32=allowed), library, Device("a stand-in", "8.6"))
    build_engine(library, onnx_graphs.product(), {"x": (3, 4)}, options)
    cleared = [call.arguments["flag"].name for call in recorder.called("clear_flag")]
    assert cleared == ([] if allowed else ["TF32"])
