"""Builds graphs with the ``tensorrt`` that this process finds, by the product's own code.

    python -m tests.engine.rigs.build_with_tensorrt JOBS.json
    python -m tests.engine.rigs.build_with_tensorrt cnnrnn build emoji --json

The second is the whole command. JOBS.json is a list of jobs: ``graph`` (a file), ``shapes``, ``options`` (of
`BuildOptions`), ``timing_cache`` (a file, or nothing) and ``stop_at`` (the share of a build at which it is
stopped, or nothing). What came out is one line of JSON each. The GPU is made up, since TensorRT proper builds
for the one that is here; the library behind builds without.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

from cnnrnn import cli
from cnnrnn.core.errors import EngineError
from cnnrnn.runtime.engine import build as engine_build
from cnnrnn.runtime.engine import cache_stale
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


def build_all(path: str) -> None:
    """Build every job, one after the other."""
    library = load_library(TENSORRT)
    for job in json.loads(Path(path).read_text()):
        sys.stdout.write(json.dumps(build(library, job)) + "\n")
        sys.stdout.flush()


def command(arguments: list[str]) -> int:
    """The command line, on a machine that has the made-up GPU; its exit code."""
    with (
        patch.object(engine_build, "find_device", lambda: GPU),
        patch.object(cache_stale, "find_device", lambda: GPU),
    ):
        return cli.main(arguments)


if __name__ == "__main__":
    if sys.argv[1] == "cnnrnn":
        sys.exit(command(sys.argv[2:]))
    build_all(sys.argv[1])
