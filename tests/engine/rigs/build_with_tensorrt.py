"""Builds graphs with the ``tensorrt`` that this process finds, by the product's own code.

    python -m tests.engine.rigs.build_with_tensorrt JOBS.json

JOBS.json is a list of jobs: ``graph`` (a file), ``shapes``, ``options`` (of `BuildOptions`), ``timing_cache``
(a file, or nothing) and ``stop_at`` (the share of a build at which it is stopped, or nothing). What came out
is one line of JSON each. The GPU is made up, since `check` asks TensorRT proper for one; the library behind
builds without.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from cnnrnn.core.errors import EngineError
from cnnrnn.runtime.engine.builder import build_engine
from cnnrnn.runtime.engine.device import Device
from cnnrnn.runtime.engine.library import TENSORRT, Library, load_library
from cnnrnn.runtime.engine.options import BuildOptions, check

GPU = Device("a stand-in", "8.6", "580.82.07", "13.0")


class Stopped(Exception):
    """What the progress of a job with ``stop_at`` raises."""


def build(library: Library, job: dict[str, Any]) -> dict[str, Any]:
    """One job; ``error`` and the class of it where there is no engine."""
    shares: list[float] = []
    phases: list[str] = []

    def progress(share: float, phase: str) -> None:
        shares.append(share)
        phases.append(phase)
        if job.get("stop_at") is not None and share >= job["stop_at"]:
            raise Stopped(phase)

    cache = job.get("timing_cache")
    try:
        built = build_engine(
            library,
            Path(job["graph"]).read_bytes(),
            {name: tuple(shape) for name, shape in job["shapes"].items()},
            check(BuildOptions(**job.get("options", {})), library, GPU),
            timing_cache=Path(cache).read_bytes() if cache else None,
            progress=progress,
            name=Path(job["graph"]).name,
        )
    except (EngineError, Stopped) as error:
        return {"error": str(error), "kind": type(error).__name__, "shares": shares}
    if cache:
        Path(cache).write_bytes(built.timing_cache)
    return {
        "module": library.module.__name__,
        "bytes": len(built.engine),
        "report": built.report.to_dict(),
        "timing_cache_bytes": len(built.timing_cache),
        "shares": shares,
        "phases": phases,
    }


def main(path: str) -> None:
    """Build every job, one after the other."""
    library = load_library(TENSORRT)
    for job in json.loads(Path(path).read_text()):
        sys.stdout.write(json.dumps(build(library, job)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
