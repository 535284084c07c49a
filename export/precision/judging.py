"""The precision gate over lowered graphs: opened on ONNX Runtime in each way of running, and reported."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnxruntime

from cnnrnn.core.errors import BackendError
from cnnrnn.core.manifest import ImageSpec
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.export.draft import Draft
from cnnrnn.export.gate_pictures import Pictures
from cnnrnn.export.pictures import find_pictures, read_pictures
from cnnrnn.export.precision.gate import judge
from cnnrnn.export.precision.graphs import Lowered
from cnnrnn.export.precision.options import FULL, LoweringOptions
from cnnrnn.export.precision.report import AS_STORED, AS_WRITTEN, PrecisionReport
from cnnrnn.export.tolerances import PRECISION_TIES
from cnnrnn.runtime.backend import Backend
from cnnrnn.runtime.graphs import Graphs
from cnnrnn.runtime.loop import SpecialTokens
from cnnrnn.runtime.ort_cpu import OrtCpuBackend
from cnnrnn.runtime.questions import Questions

GATE = "precision gate"


@dataclass(frozen=True)
class GatePictures:
    """What the gate decodes: the pictures, whose they are, and the files that could not be read."""

    pictures: Pictures
    source: str
    skipped: tuple[str, ...]


def read_gate_pictures(
    folder: Path | None, image: ImageSpec, options: LoweringOptions, questions: Questions | None = None
) -> GatePictures:
    """What the gate decodes: of a folder, or of the shipped samples; with a question for each, if there are.

    Raises:
        OptionsError: the folder does not exist, or holds too few pictures that can be read.
    """
    paths, source = find_pictures(folder, options.least_pictures, options.most_pictures, GATE)
    pictures, skipped = read_pictures(paths, image, options.least_pictures, GATE, questions)
    return GatePictures(pictures, source, skipped)


def judge_lowered(
    draft: Draft,
    lowered: Lowered,
    given: GatePictures,
    tokenizer: Tokenizer,
    *,
    as_written: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> PrecisionReport:
    """Caption the pictures by fp32's graphs and by the lowered ones.

    Args:
        draft: the bundle, whose fp32 graphs are the measure.
        as_written: also run the files as they are, without a rounding after each operator; fp16 only, since
            ONNX Runtime's CPU runs no bf16.
        progress: told how many pictures' searches of how many are done.

    Returns:
        The report, which may be that the precision failed.

    Raises:
        BackendError: the lowered graphs cannot be run in any way.
    """
    runs = {AS_WRITTEN: lowered.written, AS_STORED: lowered.stored}
    if not as_written:
        del runs[AS_WRITTEN]
    notes: list[str] = []
    tie = PRECISION_TIES[lowered.precision]
    with _backends(draft.graphs(FULL), runs, notes) as (full, found):
        special = SpecialTokens.of(draft.manifest)
        judgements = judge(full, found, given.pictures, draft.searches(), tokenizer, tie, progress, special)
    return PrecisionReport(
        precision=lowered.precision,
        pictures=len(given.pictures),
        source=given.source,
        skipped=given.skipped,
        tie=tie,
        runs=judgements,
        pinned={role: tuple(sorted(nodes)) for role, nodes in lowered.keep.items() if nodes},
        notes=tuple(notes),
        versions={"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__},
    )


@contextlib.contextmanager
def _backends(
    full: Graphs, runs: dict[str, Graphs], notes: list[str]
) -> Iterator[tuple[Backend, dict[str, Backend]]]:
    """Open fp32's backend and one for each way of running; a way that cannot be had is a note."""
    opened: list[OrtCpuBackend] = []
    try:
        opened.append(OrtCpuBackend(full))
        found: dict[str, Backend] = {}
        for name, graphs in runs.items():
            try:
                opened.append(OrtCpuBackend(graphs))
                found[name] = opened[-1]
            except BackendError as error:
                if name == AS_STORED:
                    raise
                notes.append(f"not judged by {name}: {error}")
        yield opened[0], found
    finally:
        for backend in opened:
            backend.close()
