"""Compiles graphs with TensorRT-RTX in two processes beside the tests', each once a session.

A process of its own, so that one that dies fails its test and not the whole run; and two, since a build uses
one core. Graphs that differ only in the numbers of their weights are compiled once: `shape_of` says what
counts as the same.
"""

from __future__ import annotations

import hashlib
import importlib.util
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import onnx

from cnnrnn.core.errors import EngineError
from cnnrnn.runtime.engine.bucket import Shapes
from tests.engine.rigs.bindings import absent

PROCESSES = 2
TIMEOUT_S = 600


@dataclass(frozen=True)
class Job:
    """One graph in one bucket, for GPUs of these compute capabilities in one engine."""

    name: str
    graph: bytes
    shapes: Shapes
    capabilities: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        size: the engine's, in bytes; 0 where there is none.
        report: ``EngineReport.to_dict()``.
        error: the message of the `EngineError`; empty where there is an engine.
    """

    size: int
    report: dict[str, Any] = field(default_factory=dict)
    error: str = ""


class Compiler:
    """Keeps what was compiled, by what `shape_of` says."""

    def __init__(self) -> None:
        if importlib.util.find_spec("tensorrt_rtx_bindings") is None:
            absent(
                "TensorRT-RTX is not installed: pip install tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings"
            )
        # Not forked: the tests' process has threads of torch's and others.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(PROCESSES, context)
        # The build after a refused one is not what it is otherwise (a padding more): so by themselves.
        self._refusing = ProcessPoolExecutor(1, context)
        self._made: dict[object, Future[Outcome]] = {}

    def compile(self, jobs: Sequence[Job], *, refused: bool = False) -> list[Outcome]:
        """Compile these, in the order given, and wait for all.

        Args:
            refused: whether they are expected to come to nothing.
        """
        return [future.result(timeout=TIMEOUT_S) for future in self.begin(jobs, refused=refused)]

    def begin(self, jobs: Sequence[Job], *, refused: bool = False) -> list[Future[Outcome]]:
        """Let these be compiled while the caller does something else."""
        pool = self._refusing if refused else self._pool
        return [self._submit(pool, job) for job in jobs]

    def close(self) -> None:
        """Stop; what is not begun is not done."""
        for pool in (self._pool, self._refusing):
            pool.shutdown(wait=True, cancel_futures=True)

    def _submit(self, pool: ProcessPoolExecutor, job: Job) -> Future[Outcome]:
        key = (shape_of(job.graph), tuple(sorted(job.shapes.items())), job.capabilities)
        if key not in self._made:
            self._made[key] = pool.submit(compile_job, job)
        return self._made[key]


def compile_job(job: Job) -> Outcome:
    """Compile one, in this process."""
    from cnnrnn.runtime.engine.builder import build_engine
    from cnnrnn.runtime.engine.library import TENSORRT_RTX, load_library
    from cnnrnn.runtime.engine.options import BuildOptions, check

    library = load_library(TENSORRT_RTX)
    options = check(BuildOptions(compute_capabilities=job.capabilities), library)
    try:
        built = build_engine(library, job.graph, job.shapes, options, name=job.name)
    except EngineError as error:
        return Outcome(0, error=str(error))
    return Outcome(len(built.engine), built.report.to_dict())


@lru_cache
def shape_of(graph: bytes) -> str:
    """A digest of a graph without the numbers of its weights and without comments.

    Operators, attributes, types, dimensions, integers and single numbers (of which a scale or a limit may be
    one) count, and so do the names of tensors and nodes, which reports have.
    """
    model = onnx.load_from_string(graph)
    for tensor in model.graph.initializer:
        numbers = onnx.numpy_helper.to_array(tensor)
        if numbers.size > 1 and numbers.dtype.kind not in "iub":
            tensor.ClearField("raw_data")
            tensor.ClearField("float_data")
            tensor.ClearField("int32_data")
    for part in (model, model.graph, *model.graph.node):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    model.graph.ClearField("name")
    return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()
