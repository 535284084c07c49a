"""What a graph has to do for one picture: multiplications, bytes of weights, and where its time goes.

Both are read off ONNX Runtime's own profile of a run, in which every node says the shapes that went in and
came out: so that what is counted are the graphs as they run, fused and with their real sizes.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cnnrnn.core.bundle import Bundle
from cnnrnn.core.manifest import GraphSpec
from cnnrnn.runtime.graphs import Graphs
from cnnrnn.runtime.model import Model
from cnnrnn.runtime.ort_cpu import OrtCpuBackend
from cnnrnn.runtime.questions import QuestionReader

STAGES = ("encoder", "step")
_KERNEL = "_kernel_time"
# Operators that multiply, by what their fused forms are called too.
_CONVOLUTIONS = ("Conv", "FusedConv", "ConvInteger", "QLinearConv")
_PRODUCTS = ("MatMul", "FusedMatMul", "Gemm", "FusedGemm", "MatMulInteger", "QLinearMatMul", "QGemm")
# These read a few rows of a table, not the table.
_LOOKUPS = ("Gather", "GatherND", "GatherElements")
_WEIGHTS_PLACE = {"QLinearConv": 3, "QLinearMatMul": 3, "QGemm": 3}


@dataclass(frozen=True)
class Cost:
    """Of one run of a graph: the encoder's once, or one step.

    Attributes:
        multiplications: multiply-adds of convolutions and matrix products.
        weight_bytes: what is read of constants, but for tables that rows are looked up in.
        nodes: how many kernels run.
        operators: milliseconds of each kind of kernel, the longest first; profiling makes them longer.
    """

    multiplications: int
    weight_bytes: int
    nodes: int
    operators: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """As the report's JSON has it."""
        return {
            "multiplications": self.multiplications,
            "weight_bytes": self.weight_bytes,
            "nodes": self.nodes,
            "operators_ms": {name: round(taken, 4) for name, taken in self.operators.items()},
        }


def count(bundle: Bundle, precision: str, threads: int, answer: Callable[[Model], object]) -> dict[str, Cost]:
    """The costs of ``"encoder"`` and ``"step"``.

    Args:
        bundle, precision: whose graphs.
        threads: that run them.
        answer: makes a model answer once.
    """
    counted = _profile(bundle, precision, threads, answer, packed=False)
    timed = _profile(bundle, precision, threads, answer, packed=True)
    return {stage: _cost(counted[stage], timed[stage]) for stage in STAGES}


class _Profiled(OrtCpuBackend):
    """Sessions that write down what their nodes do.

    Weights that are packed for a kernel beforehand are missing from a profile's shapes: to be counted they
    are left as they are.
    """

    def __init__(self, graphs: Graphs, threads: int, folder: Path, *, packed: bool) -> None:
        self._folder, self._packed = folder, packed
        super().__init__(graphs, threads)

    def _options(self, spec: GraphSpec, threads: int) -> Any:
        options = super()._options(spec, threads)
        options.enable_profiling = True
        options.profile_file_prefix = str(self._folder / Path(spec.file).stem)
        options.add_session_config_entry("session.disable_prepacking", str(int(not self._packed)))
        return options

    def events(self) -> dict[str, list[dict[str, Any]]]:
        """The kernels that ran in the encoder and in the steps, in their order."""
        sessions: dict[str, Any] = {"encoder": self._encoder, "step": self._step}
        files = {stage: Path(session.end_profiling()) for stage, session in sessions.items()}
        return {stage: _kernels(json.loads(file.read_text())) for stage, file in files.items()}


def _profile(
    bundle: Bundle, precision: str, threads: int, answer: Callable[[Model], object], *, packed: bool
) -> dict[str, list[dict[str, Any]]]:
    with TemporaryDirectory() as folder:
        backend = _Profiled(Graphs.of(bundle, precision), threads, Path(folder), packed=packed)
        with Model(backend, bundle.manifest, bundle.tokenizer(), QuestionReader.of(bundle)) as model:
            for _ in range(3 if packed else 1):
                answer(model)
            return backend.events()


def _kernels(events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**event["args"], "dur": event["dur"]}
        for event in events
        if event.get("cat") == "Node" and event["name"].endswith(_KERNEL)
    ]


def _cost(counted: list[dict[str, Any]], timed: list[dict[str, Any]]) -> Cost:
    nodes = {kernel["node_index"]: kernel for kernel in reversed(counted)}  # of each node its first run
    runs = max(1, len(timed) // max(1, len({kernel["node_index"] for kernel in timed})))
    taken: dict[str, float] = defaultdict(float)
    for kernel in timed:
        taken[kernel["op_name"]] += kernel["dur"] / 1000 / runs
    return Cost(
        multiplications=sum(map(multiplications, nodes.values())),
        weight_bytes=sum(
            int(kernel["parameter_size"]) for kernel in nodes.values() if kernel["op_name"] not in _LOOKUPS
        ),
        nodes=len(nodes),
        operators=dict(sorted(taken.items(), key=lambda entry: -entry[1])),
    )


def multiplications(kernel: Mapping[str, Any]) -> int:
    """Multiply-adds of one kernel, as a profile describes it; 0 of what is no convolution and no product."""
    name = kernel["op_name"]
    given, made = (_shapes(kernel[key]) for key in ("input_type_shape", "output_type_shape"))
    weights = given[_WEIGHTS_PLACE.get(name, 1)] if len(given) > 1 else []
    if name in _CONVOLUTIONS:
        return math.prod(made[0]) * math.prod(weights[1:])
    if name in _PRODUCTS:
        # What is summed over is what both sides have and the product has not; each may be transposed.
        rows_and_columns = math.prod(made[0][-2:]) if len(made[0]) > 1 else made[0][-1]
        own = math.prod(given[0][-2:]) * math.prod(weights[-2:])
        return math.prod(made[0]) * math.isqrt(max(own // max(rows_and_columns, 1), 0))
    return 0


def _shapes(described: Iterable[Mapping[str, list[int]]]) -> list[list[int]]:
    return [next(iter(entry.values())) for entry in described]
