"""The checks `engine`: a backend builds or loads its engines for this architecture, and they run there."""

from __future__ import annotations

import time

from benchmarks.gpu_check.loops import differences
from benchmarks.gpu_check.notes import FailedError, Notes, Setting
from benchmarks.gpu_check.parity import answers
from benchmarks.gpu_check.place import model, pictures
from cnnrnn.runtime.engine.cache import EngineCache


def engine(setting: Setting, notes: Notes, *, backend: str) -> None:
    """One answer by this backend."""
    wanted = answers(setting)[:1]
    (image,) = pictures(1)
    started = time.monotonic()
    with model(setting, backend) as captioner:
        result = captioner(image)
        first_s = round(time.monotonic() - started, 2)
        again = captioner(image)
    notes.note(first_answer_s=first_s, text=result.text, loop=result.loop, built=_built(backend))
    notes.note(summary=f"runs: {result.text!r}, the first answer after {first_s} s, loop {result.loop}")
    problems = differences([result], wanted) + differences([again], wanted)
    if problems:
        raise FailedError("; ".join(problems))


def _built(backend: str) -> list[dict[str, object]]:
    """What the cache says of the engines that were built for it."""
    kept = ("library", "version", "architecture", "bytes", "build_seconds")
    return [
        {name: entry.report.get(name) for name in kept}
        for entry in EngineCache().entries()
        if entry.report.get("library") == backend
    ]
