"""The command ``python -m benchmarks.models``; see the package."""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import platform
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import onnxruntime
import torch

import benchmarks.models
from benchmarks.models.entries import ENTRIES, Entry
from benchmarks.models.measure import Row, Setup, measure
from benchmarks.models.page import page
from cnnrnn.core.errors import CnnrnnError
from cnnrnn.core.storage import write_atomic
from cnnrnn.runtime.threads import physical_cores


def main(argv: Sequence[str] | None = None, setup: Setup | None = None) -> int:
    """Measure what is asked for, and give the exit code: 1 where a row has a failure."""
    names = [entry.name for entry in ENTRIES]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.models",
        description=benchmarks.models.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only", nargs="*", choices=names, default=names, metavar="NAME", help="rows; none but those kept"
    )
    parser.add_argument("--json", type=Path, help="keep the numbers here")
    parser.add_argument("--markdown", type=Path, help="write the tables here, of all rows of the JSON")
    given = parser.parse_args(argv)
    if given.markdown is not None and given.json is None:
        parser.error("--markdown is made of the rows that --json keeps; give --json FILE too")
    setup = setup or Setup()
    setting = describe(setup) if given.only or given.json is None else read(given.json)[0]
    rows = _kept(given.json, setting, parser) if given.json is not None else {}
    for entry in ENTRIES:
        if entry.name not in given.only:
            continue
        row = rows[entry.name] = _alone(entry, setup)
        print(json.dumps(dataclasses.asdict(row)), flush=True)
        if given.json is not None:
            ordered = [rows[name] for name in names if name in rows]
            text = json.dumps({"setting": setting, "rows": list(map(dataclasses.asdict, ordered))}, indent=1)
            write_atomic(given.json, f"{text}\n".encode())
    if given.markdown is not None:
        ordered = [rows[name] for name in names if name in rows]
        write_atomic(given.markdown, page(ordered, setting, given.json.as_posix()).encode())
    return int(any(rows[name].failure for name in given.only))


def describe(setup: Setup) -> dict[str, Any]:
    """What ran on what."""
    return {
        **dataclasses.asdict(setup),
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
        "processor": _processor(),
        "cores": physical_cores(),
    }


def read(file: Path) -> tuple[dict[str, Any], list[Row]]:
    """The setting and the rows of a JSON that `main` wrote."""
    found = json.loads(file.read_text(encoding="utf-8"))
    return found["setting"], [Row(**row) for row in found["rows"]]


def _kept(file: Path, setting: dict[str, Any], parser: argparse.ArgumentParser) -> dict[str, Row]:
    """The rows that are there, of the same machine and versions."""
    if not file.exists():
        return {}
    before, rows = read(file)
    if differing := sorted(key for key in setting if setting[key] != before.get(key)):
        parser.error(
            f"{file} is of another {', '.join(differing)}; name another file, or remove it and measure all"
        )
    return {row.name: row for row in rows}


def _alone(entry: Entry, setup: Setup) -> Row:
    """In a process of its own, whose memory goes with it and whose death is one row's failure."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(measure, entry, setup).result()
        except CnnrnnError as error:
            failure = str(error).partition("\n")[0]
        except BrokenProcessPool:
            failure = "the process died, of too little memory maybe"
    return Row(entry.name, entry.kind, 0, 0, 0, failure=failure)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


if __name__ == "__main__":
    sys.exit(main())
