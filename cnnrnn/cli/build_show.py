"""What ``cnnrnn build`` shows a person: how far it is, and what was built."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from cnnrnn.cli.output import note, table
from cnnrnn.runtime.engine.build import BuildPlan, BuildWatcher, BundleEngine, PlannedEngine
from cnnrnn.runtime.engine.cache import EngineCache

REDRAW_S = 0.1
BAR_CELLS = 30


def describe(
    plan: BuildPlan, made: Sequence[tuple[PlannedEngine, dict[str, Any]]], seconds: float
) -> Iterable[str]:
    """A table of the engines, and under it what was fused in each."""
    yield f"{plan.library.title}, {plan.precision}, {plan.options.architecture}"
    yield ""
    head = ("engine", "MB", "seconds", "layers", "kernels", "")
    rows = [
        (
            planned.name,
            f"{told['bytes'] / 1e6:.2f}",
            f"{told['build_seconds']:.1f}",
            str(told["layers"]),
            "?" if told["engine_layers"] is None else str(len(told["engine_layers"])),
            "built" if told["built"] else "in the cache",
        )
        for planned, told in made
    ]
    yield from table([head, *rows], right=frozenset({1, 2, 3, 4}))
    yield ""
    for planned, told in made:
        yield f"{planned.name}:"
        for way in ("inputs", "outputs"):
            texts = (f"{tensor['name']} {tensor['dtype']} {_shape(tensor)}" for tensor in told[way])
            yield f"  {way}: {', '.join(texts)}"
        yield from (f"  {line}" for line in _fused(told))
        yield from (f"  TensorRT warns: {text}" for text in told["warnings"])
    total = sum(told["bytes"] for _, told in made)
    fresh = sum(told["built"] for _, told in made)
    yield ""
    yield f"{len(made)} engines, {total / 1e6:.2f} MB, {fresh} built, {seconds:.1f} s"
    yield f"kept in {EngineCache().folder}"


def _fused(told: dict[str, Any]) -> Iterable[str]:
    """What became of the graph's nodes, in brief: how many in how few kernels, and the largest of those."""
    layers = told["engine_layers"]
    if layers is None:
        yield "fused: TensorRT does not say"
        return
    # The widening of a stored weight is done while building.
    groups = [[node for node in layer["nodes"] if not node.startswith("widen/")] for layer in layers]
    fused = [group for group in groups if len(group) > 1]
    nodes = len({node for group in groups for node in group})
    yield f"fused: {nodes} ONNX nodes run as {len(layers)} kernels, {len(fused)} of these of several nodes"
    for nodes_of in sorted(fused, key=len, reverse=True)[:3]:
        yield f"  {len(nodes_of)} in one: {_operators(nodes_of)}"


def _operators(nodes: Sequence[str]) -> str:
    """``decoder.cells.0: Sigmoid ×3, Tanh ×2``: the operators, and the module that most of them are of."""
    kinds = Counter(re.sub(r"_\d+$", "", node.rpartition("/")[2]) for node in nodes)
    modules = Counter(node.rpartition("/")[0] for node in nodes if "/" in node)
    where = f"{modules.most_common(1)[0][0]}: " if modules else ""
    return where + ", ".join(f"{kind} ×{count}" if count > 1 else kind for kind, count in kinds.items())


def _shape(tensor: dict[str, Any]) -> str:
    return f"({', '.join(map(str, tensor['shape']))})"


class Bar(BuildWatcher):
    """One line on a terminal that redraws itself; elsewhere a line for each engine."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._terminal = sys.stderr.isatty()
        self._number = 0
        self._name = ""
        self._width = 0
        self._drawn_at = float("-inf")

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def begin(self, number: int, engine: PlannedEngine) -> None:
        self._number, self._name = number, engine.name
        self._draw(0.0, "begins")

    def progress(self, share: float, phase: str) -> None:
        if time.monotonic() - self._drawn_at >= REDRAW_S:
            self._draw(share, phase)

    def waiting(self) -> None:
        self.clear()
        note(f"another process is building {self._name}; it is waited for")

    def end(self, engine: BundleEngine) -> None:
        self._draw(1.0, "done")
        if not self._terminal:
            what = "built" if engine.cached.built else "in the cache"
            note(f"{self._number + 1}/{self._total} {self._name}: {what}")

    def clear(self) -> None:
        """Take the line away."""
        if self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
            self._width = 0

    def _draw(self, share: float, phase: str) -> None:
        if not self._terminal:
            return
        self._drawn_at = time.monotonic()
        done = (self._number + share) / self._total
        full = int(BAR_CELLS * done)
        line = f"{'█' * full}{'░' * (BAR_CELLS - full)} {done:4.0%} {self._name}: {phase[:40]}"
        sys.stderr.write("\r" + line.ljust(self._width))
        sys.stderr.flush()
        self._width = len(line)
