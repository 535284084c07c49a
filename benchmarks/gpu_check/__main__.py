"""The command ``python -m benchmarks.gpu_check``; see the package."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import benchmarks.gpu_check
from benchmarks.gpu_check.notes import Setting
from benchmarks.gpu_check.outcome import INTERRUPTED
from benchmarks.gpu_check.run import BUDGET_S, run


def main(argv: Sequence[str] | None = None) -> int:
    """Run the checks, and give the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_check",
        description=benchmarks.gpu_check.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="the folder for the JSON, the table and the log"
    )
    parser.add_argument("--captioner", type=Path, help="one that was made before, to be timed")
    parser.add_argument("--engines", type=Path, help="a folder to keep built engines in, for another run")
    parser.add_argument("--only", nargs="+", default=[], metavar="CHECK", help="names or groups of checks")
    parser.add_argument("--budget", type=float, default=BUDGET_S, help="seconds for all (%(default)s)")
    parser.add_argument("--pictures", type=int, default=300, help="that backends are compared over")
    parser.add_argument("--repetitions", type=int, default=500, help="of what is timed")
    given = parser.parse_args(argv)
    if given.captioner is not None and not given.captioner.is_dir():
        parser.error(f"--captioner {given.captioner}: no such folder")
    given.out.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, _interrupt)
    with tempfile.TemporaryDirectory(prefix="gpu_check.", ignore_cleanup_errors=True) as work:
        setting = Setting(
            given.out.resolve(),
            Path(work).resolve(),
            pictures=given.pictures,
            repetitions=given.repetitions,
            engines=(given.engines or Path(work, "engines")).resolve(),
            captioner=(given.captioner or Path(work, "captioner")).resolve(),
        )
        try:
            return run(setting, given.budget, given.only)
        except KeyboardInterrupt:
            return INTERRUPTED


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
