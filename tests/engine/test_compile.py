"""TensorRT-RTX compiles every graph without a GPU: of the shipped bundles and of every kind of captioner, in
every precision, for 1 and 4 images, 1 and 5 beams, and for GPUs of three generations."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import onnx
import pytest

from cnnrnn.core.bundle import Bundle, shipped_bundles
from cnnrnn.runtime.engine import report
from tests.captioner_grid import EVERY, CaptionerGrid, Options, named
from tests.engine.rigs.compiler import Compiler
from tests.engine.rigs.graphs import BEAMS, DTYPES, PRECISIONS, TURING, Graph, model_graphs, select_graphs

SHIPPED = [
    (name, precision) for name in shipped_bundles() for precision in Bundle.open(name).manifest.precisions
]
ONNX_TYPES = {1: "FLOAT", 2: "UINT8", 6: "INT32", 7: "INT64", 9: "BOOL", 10: "HALF", 16: "BF16"}


@pytest.fixture(scope="module")
def begun(request: pytest.FixtureRequest, captioner_grid: CaptionerGrid, compiler: Compiler) -> Compiler:
    """The compiler, at work on all that this module's captioners need: while the next one is exported."""
    specs = [getattr(item, "callspec", None) for item in request.session.items]
    chosen = [spec.params.get("options") for spec in specs if spec is not None]
    for options in EVERY:
        if not any(options is other for other in chosen):
            continue
        with contextlib.suppress(Exception):  # its own test meets it again
            folder = captioner_grid.exported(options).folder
            for precision in PRECISIONS:
                for graph in model_graphs(folder, precision):
                    compiler.begin(graph.jobs())
    return compiler


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("options", EVERY, ids=named)
def test_captioner(options: Options, precision: str, captioner_grid: CaptionerGrid, begun: Compiler) -> None:
    folder = captioner_grid.exported(options).folder
    _check_compiled([*model_graphs(folder, precision), *select_graphs(folder, BEAMS)], begun)


@pytest.mark.slow
@pytest.mark.parametrize("options", EVERY, ids=named)
def test_captioner_in_fp32_is_refused_for_turing(
    options: Options, captioner_grid: CaptionerGrid, compiler: Compiler
) -> None:
    _check_refused(model_graphs(captioner_grid.exported(options).folder, "fp32"), compiler)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "precision"), SHIPPED)
def test_shipped_bundle(name: str, precision: str, compiler: Compiler) -> None:
    _check_compiled(model_graphs(name, precision), compiler)


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped_bundles())
def test_shipped_bundle_in_bf16(name: str, compiler: Compiler) -> None:
    """Which no bundle carries: lowered here."""
    _check_compiled(model_graphs(name, "bf16"), compiler)


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped_bundles())
def test_shipped_bundle_in_fp32_is_refused_for_turing(name: str, compiler: Compiler) -> None:
    _check_refused(model_graphs(name, "fp32"), compiler)


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped_bundles())
def test_shipped_select_graphs(name: str, compiler: Compiler) -> None:
    _check_compiled(select_graphs(name), compiler)


def _check_compiled(graphs: Sequence[Graph], compiler: Compiler) -> None:
    """Compile in every bucket for every GPU, and compare the engines' tensors with the graphs'."""
    work = [(graph, job) for graph in graphs for job in graph.jobs()]
    assert work
    for graph in graphs:
        if graph.role != "select":
            _check_types(graph)
    for (graph, job), outcome in zip(work, compiler.compile([job for _, job in work]), strict=True):
        what = f"{job.name} {job.shapes}"
        assert outcome.size, f"{what}: {outcome.error}"
        made = outcome.report
        inputs, outputs = _tensors(graph.model)
        assert {tensor["name"]: tensor["dtype"] for tensor in made["inputs"]} == inputs, what
        assert {tensor["name"]: tensor["dtype"] for tensor in made["outputs"]} == outputs, what
        assert {tensor["name"]: tuple(tensor["shape"]) for tensor in made["inputs"]} == job.shapes, what
        assert all(min(tensor["shape"], default=1) > 0 for tensor in made["outputs"]), what


def _check_types(graph: Graph) -> None:
    """States and memory have the graph's precision; what the search reads and writes is the same in all."""
    fixed = {
        "image": "uint8",
        "question": "int32",
        "question_length": "int32",
        "tokens": "int32",
        "parents": "int32",
        "logits": "float32",
        "alignment": "float32",
    }
    for tensors in _tensors(graph.model):
        for name, dtype in tensors.items():
            assert dtype == fixed.get(name, DTYPES[graph.precision]), f"{graph.name}: {name}"


def _check_refused(graphs: Sequence[Graph], compiler: Compiler) -> None:
    jobs = [job for graph in graphs for job in graph.refused()]
    assert jobs
    for job, outcome in zip(jobs, compiler.compile(jobs, refused=True), strict=True):
        assert not outcome.size, job.name
        assert TURING in outcome.error, outcome.error
        assert "fp16" in outcome.error, outcome.error


def _tensors(graph: bytes) -> tuple[dict[str, str], dict[str, str]]:
    """The types of a graph's inputs and outputs, as the reports name them."""
    made = onnx.load_from_string(graph).graph
    stored = {tensor.name for tensor in made.initializer}
    inputs, outputs = (
        {item.name: report.DTYPES[ONNX_TYPES[item.type.tensor_type.elem_type]] for item in items}
        for items in (made.input, made.output)
    )
    return {name: dtype for name, dtype in inputs.items() if name not in stored}, outputs
