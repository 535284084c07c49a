"""The backend ``tensorrt`` builds engines without a GPU: its own code and the real Python bindings of 11.4,
over TensorRT-RTX's library under the names of TensorRT's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper

from tests.captioner_grid import VALID, CaptionerGrid, named
from tests.engine.rigs import bindings
from tests.engine.rigs.build_with_tensorrt import GPU
from tests.engine.rigs.graphs import BEAMS, DTYPES, PRECISIONS, Graph, model_graphs, select_graphs

# One captioner of each cell and conditioning, of different attentions.
SAMPLE = VALID[3::11]
Outcomes = dict[str, dict[str, Any]]
STEP = "emoji/fp32/step.onnx"


class Jobs:
    """What is built in one process that has TensorRT 11.4, by name."""

    def __init__(self, folder: Path) -> None:
        self.aliases = bindings.rtx_aliases(folder / "aliases")
        self._folder = folder
        self._jobs: dict[str, dict[str, Any]] = {}

    def add(self, name: str, graph: bytes, shapes: object, **others: object) -> None:
        file = self._folder / name.replace("/", "-")
        file.write_bytes(graph)
        self._jobs[name] = {"graph": str(file), "shapes": shapes, **others}

    def run(self) -> Outcomes:
        listed = self._folder / "jobs.json"
        listed.write_text(json.dumps(list(self._jobs.values())))
        script = ("-m", "tests.engine.rigs.build_with_tensorrt", str(listed))
        done = bindings.run(bindings.BUILDING, self.aliases, *script)
        assert done.returncode == 0, done.stderr
        lines = map(json.loads, done.stdout.splitlines())
        return dict(zip(self._jobs, lines, strict=True))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, captioner_grid: CaptionerGrid) -> Outcomes:
    folder = tmp_path_factory.mktemp("tensorrt")
    jobs = Jobs(folder)
    for graph in _graphs(captioner_grid):
        for number, shapes in enumerate(graph.shapes):
            jobs.add(f"{graph.name}/{number}", graph.model, shapes)
    step = model_graphs("emoji", "fp32")[1]
    cache = folder / "timing.cache"
    cache.write_bytes(b"")
    for name, others in {
        "timed": {"timing_cache": str(cache)},
        "timed again": {"timing_cache": str(cache)},
        "untimed": {"options": {"timing_cache": False}},
        "limited": {"options": {"workspace_mib": 64, "optimization_level": 5}},
        "stopped": {"stop_at": 0.5},
        "lean": {"options": {"version_compatible": True}},
    }.items():
        jobs.add(name, step.model, step.shapes[-1], **others)
    jobs.add("wild", _wild(), {"x": (1, 4)})
    return jobs.run()


def _graphs(captioner_grid: CaptionerGrid) -> list[Graph]:
    graphs = []
    for precision in PRECISIONS:
        graphs += model_graphs("emoji", precision)
        for options in SAMPLE:
            for graph in model_graphs(captioner_grid.exported(options).folder, precision):
                graphs.append(replace(graph, name=f"{named(options)}/{precision}/{graph.role}"))
    return [*graphs, *select_graphs("emoji", BEAMS)]


def _wild() -> bytes:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", 4]) for name in "xy"]
    node = helper.make_node("Wild", ["x"], ["y"], name="decoder.out/Wild")
    graph = helper.make_graph([node], "wild", values[:1], values[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()


@pytest.mark.slow
def test_every_graph_is_built(built: Outcomes) -> None:
    graphs = {name: outcome for name, outcome in built.items() if "/" in name}
    assert len(graphs) == len(PRECISIONS) * (len(SAMPLE) + 1) * (2 + 4) + 2 * 2
    assert not {name: outcome["error"] for name, outcome in graphs.items() if "error" in outcome}
    for outcome in graphs.values():
        assert outcome["module"] == "tensorrt_bindings"
        report = outcome["report"]
        assert report["library"] == "tensorrt"
        assert report["version"] == bindings.BUILDING
        assert report["architecture"] == "sm86"
        assert outcome["bytes"] == report["bytes"] > 0
        assert report["engine_layers"]


@pytest.mark.slow
def test_types_are_the_graphs(built: Outcomes) -> None:
    for precision in PRECISIONS:
        report = built[STEP.replace("fp32", precision) + "/3"]["report"]
        inputs = {tensor["name"]: tensor["dtype"] for tensor in report["inputs"]}
        outputs = {tensor["name"]: tensor["dtype"] for tensor in report["outputs"]}
        assert inputs["tokens"] == inputs["parents"] == "int32"
        assert outputs["logits"] == outputs["alignment"] == "float32"
        kinds = {**inputs, **outputs}.items()
        found = {kind for name, kind in kinds if "state" in name or "memory" in name}
        assert found == {DTYPES[precision]}
    image = built[f"emoji/{PRECISIONS[-1]}/encoder.onnx/1"]["report"]["inputs"][0]
    assert image["dtype"] == "uint8"
    assert image["shape"][0] == 4


@pytest.mark.slow
def test_progress_goes_up(built: Outcomes) -> None:
    outcome = built[f"{STEP}/3"]
    assert outcome["shares"] == sorted(outcome["shares"])
    assert 0 < outcome["shares"][0] < 0.5 < outcome["shares"][-1] <= 1
    assert len(set(outcome["phases"])) > 3


@pytest.mark.slow
def test_progress_stops_the_build(built: Outcomes) -> None:
    outcome = built["stopped"]
    assert outcome["kind"] == "Stopped"
    assert 0.5 <= outcome["shares"][-1] < 1


@pytest.mark.slow
def test_options(built: Outcomes) -> None:
    assert built["limited"]["bytes"]
    assert built["timed"]["timing_cache_bytes"]
    assert built["timed again"]["timing_cache_bytes"]
    assert built["untimed"]["bytes"]
    assert not built["untimed"]["timing_cache_bytes"]


@pytest.mark.slow
def test_refusals_are_our_errors(built: Outcomes) -> None:
    assert built["lean"]["kind"] == built["wild"]["kind"] == "EngineError"
    assert "tensorrt-lean" in built["lean"]["error"]
    for word in ("TensorRT 11.4", "decoder.out/Wild", "operator Wild", "module decoder.out"):
        assert word in built["wild"]["error"]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_whole_command_builds_once_and_keeps_it(precision: str, tmp_path: Path) -> None:
    aliases = bindings.rtx_aliases(tmp_path / "aliases")

    def run(*arguments: str) -> list[dict[str, Any]]:
        script = ("-m", "tests.engine.rigs.build_with_tensorrt", "cnnrnn", *arguments, "--json")
        variables = {"CNNRNN_CACHE": str(tmp_path / "cache")}
        done = bindings.run(bindings.BUILDING, aliases, *script, variables=variables)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    build = ("build", "emoji", "--backend", "tensorrt", "--precision", precision)
    first, second = run(*build), run(*build)
    assert [one["role"] for one in first] == ["encoder", "step", "select"]
    assert [one.pop("built") for one in first] == [True] * 3
    assert [one.pop("built") for one in second] == [False] * 3
    assert first == second
    for one in first:
        assert (one["library"], one["version"], one["architecture"]) == (
            "tensorrt",
            bindings.BUILDING,
            "sm86",
        )
        assert one["kernels"] > 0
    states = {tensor["dtype"] for tensor in first[1]["outputs"] if "state" in tensor["name"]}
    assert states == {DTYPES[precision]}

    (listed,) = run("inspect", "--cache")
    assert [entry["stale"] for entry in listed["entries"]] == [None] * 4
    assert sorted(entry["kind"] for entry in listed["entries"]) == ["engine"] * 3 + ["timing"]
    for entry in listed["entries"]:
        about = entry["about"]
        assert (about["library_version"], about["architecture"]) == (bindings.BUILDING, "sm86")
        if entry["kind"] == "engine":  # built on a GPU, so it depends on its driver
            assert (about["driver"], about["cuda"]) == (GPU.driver, GPU.cuda)
    assert {entry["path"] for entry in listed["entries"]} >= {one["path"] for one in first}


@pytest.mark.slow
def test_the_names_stay_in_their_process(built: Outcomes) -> None:
    """What the libraries are called there is nothing to this process."""
    assert built
    done = bindings.run_plain("-c", "import tensorrt_bindings")
    assert "ModuleNotFoundError" in done.stderr
    maps = Path("/proc/self/maps").read_text()
    assert "libnvinfer.so.11" not in maps
