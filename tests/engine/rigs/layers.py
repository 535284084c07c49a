"""How many Cast nodes, layers and kernels each graph may have: ``layers.json``, which is made again by

    python -m tests.engine.rigs.layers [WORD ...]

of all captioners, or of those with a word in their key (``select``, ``emoji/``, ``fp16``), and of new ones.
Casts are the graph's own nodes. Layers are TensorRT's, as its parser makes them of the graph. Kernels are
what is left of these in the engine, after fusing; of all buckets the most.
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from cnnrnn.core.bundle import Bundle, shipped_bundles
from tests.engine.rigs.compiler import Compiler
from tests.engine.rigs.graphs import BEAMS, PRECISIONS, Graph, model_graphs, select_graphs
from tests.torchlib import read_once

if TYPE_CHECKING:
    from tests.captioner_grid import CaptionerGrid, Options

FILE = Path(__file__).with_name("layers.json")
KINDS = ("casts", "layers", "kernels")
# Of a limit of layers, how much a graph may stay below it.
SLACK = 0.1

# By graph (``"step"``, ``"beam5"``) its numbers, in the order of `KINDS`.
Counts = Mapping[str, tuple[int, ...]]


def count(graphs: Iterable[Graph], compiler: Compiler) -> dict[str, tuple[int, ...]]:
    """The numbers of these graphs."""
    counted = {}
    for graph in graphs:
        reports = []
        for outcome in compiler.compile(graph.jobs()):
            assert outcome.size, f"{graph.name}: {outcome.error}"
            reports.append(outcome.report)
        counted[Path(graph.name).stem] = (
            count_casts(onnx.load_from_string(graph.model).graph),
            max(report["layers"] for report in reports),
            max(len(report["engine_layers"]) for report in reports),
        )
    return counted


def count_casts(graph: onnx.GraphProto) -> int:
    """The Cast nodes of a graph and of the graphs inside its nodes."""
    inside = (attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g"))
    return sum(node.op_type == "Cast" for node in graph.node) + sum(map(count_casts, inside))


def grown(counts: Counts, limits: Counts) -> list[str]:
    """What is above its limit, in words; a graph without one is above it."""
    found = []
    for name, numbers in counts.items():
        for kind, number, limit in zip(KINDS, numbers, limits.get(name, (-1,) * len(KINDS)), strict=True):
            if number > limit:
                found.append(f"{name}: {number} {kind}, and {limit} may be there")
    return found


def loose(counts: Counts, limits: Counts) -> list[str]:
    """Which limits no longer hold a graph, in words: it has fewer layers by more than a tenth of them."""
    place, found = KINDS.index("layers"), []
    for name, numbers in counts.items():
        limit = limits[name][place] if name in limits else 0
        if numbers[place] < (1 - SLACK) * limit:
            found.append(f"{name}: {numbers[place]} layers, and {limit} may be there")
    return found


def read_limits() -> dict[str, dict[str, tuple[int, ...]]]:
    """By ``"CAPTIONER/fp32"``, ``"CAPTIONER/select"`` what its graphs may have."""
    read = json.loads(FILE.read_text())
    return {key: {name: tuple(numbers) for name, numbers in graphs.items()} for key, graphs in read.items()}


def every_captioner() -> list[tuple[str, str]]:
    """Those of the shipped bundles: name and precision, or ``"select"``."""
    names = shipped_bundles()
    carried = [(name, precision) for name in names for precision in Bundle.open(name).manifest.precisions]
    return [*carried, *((name, "select") for name in names)]


def _write(words: Sequence[str]) -> None:
    from tests.captioner_grid import EVERY, VALID, CaptionerGrid, named

    before = read_limits() if words else {}
    compiler = Compiler()
    with tempfile.TemporaryDirectory() as folder, read_once():
        grid = CaptionerGrid(Path(folder))
        wanted: dict[str, Callable[[], Iterable[Graph]]] = {}
        for options, precision in itertools.product(EVERY, PRECISIONS):
            wanted[f"{named(options)}/{precision}"] = partial(_of_grid, grid, options, precision)
        wanted["grid/select"] = partial(_of_grid, grid, VALID[0], "select")
        for name, precision in every_captioner():
            wanted[f"{name}/{precision}"] = partial(_of_folder, name, precision)
        limits = {}
        for key, graphs in wanted.items():
            keep = words and key in before and not any(word in key for word in words)
            limits[key] = before[key] if keep else count(graphs(), compiler)
    compiler.close()
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in limits.items())
    FILE.write_text(f"{{\n{lines}\n}}\n")
    sys.stdout.write(f"{FILE}\n")


def _of_grid(grid: CaptionerGrid, options: Options, precision: str) -> Iterable[Graph]:
    return _of_folder(grid.exported(options).folder, precision, BEAMS)


def _of_folder(folder: Path | str, precision: str, beams: tuple[int, ...] = ()) -> Iterable[Graph]:
    return select_graphs(folder, beams) if precision == "select" else model_graphs(folder, precision)


if __name__ == "__main__":
    _write(sys.argv[1:])
