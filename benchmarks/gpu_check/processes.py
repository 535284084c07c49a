"""A check in a process of its own: with a limit, killed with its children, and never more than an outcome."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.gpu_check.notes import Notes, Setting
from benchmarks.gpu_check.outcome import Check, Outcome, Status

ROOT = Path(__file__).resolve().parents[2]
TAIL_CHARACTERS = 3000

# What a run leaves behind for a person: the output of all checks, one after the other.
LOG = "log.txt"


def run_check(check: Check, setting: Setting, limit_s: float | None = None) -> Outcome:
    """Run a check, and give how it ended, whatever its process did.

    Args:
        limit_s: less than the check's own, where not so much time is left.
    """
    if check.missing:
        return Outcome("missing", error=check.missing)
    if check.skipped:
        return Outcome("skipped", error=check.skipped)
    limit = min(check.limit_s, limit_s if limit_s is not None else check.limit_s)
    with tempfile.TemporaryDirectory(dir=setting.work) as name:
        folder = Path(name)
        setting.write(folder / "setting.json")
        started = time.monotonic()
        with (folder / "output").open("wb") as output:
            command = [sys.executable, "-m", "benchmarks.gpu_check.child", check.function]
            command += [json.dumps(check.arguments), str(folder / "setting.json"), str(folder / "notes.json")]
            code = _run(command, _environment(setting), output.fileno(), limit)
        seconds = round(time.monotonic() - started, 2)
        said = (folder / "output").read_text(encoding="utf-8", errors="replace")
        _keep(setting.out / LOG, check.name, said)
        found = Notes.read(folder / "notes.json")
    return _outcome(found, code, limit, seconds, said[-TAIL_CHARACTERS:])


def _run(command: list[str], environment: dict[str, str], output: int, limit_s: float) -> int | None:
    """Its exit code, below 0 for a signal; None where it ran over."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    with _killed_afterwards(process):
        try:
            return process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return None


@contextlib.contextmanager
def _killed_afterwards(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """What is left of it and of its children ends, also where this process is interrupted."""
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _environment(setting: Setting) -> dict[str, str]:
    variables = {
        **os.environ,
        "CNNRNN_CACHE": str(setting.engines),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
    }
    if setting.stand_in:
        variables["LD_LIBRARY_PATH"] = setting.driver
    return variables


def _outcome(found: dict[str, Any], code: int | None, limit_s: float, seconds: float, tail: str) -> Outcome:
    facts: dict[str, Any] = found["facts"]
    status: Status | None = found.get("status")
    error = str(found.get("error", ""))
    when = "after its work was done" if status else "before it was done"
    if code is None:
        return Outcome("failed", seconds, facts, f"it ran over its limit of {limit_s:.0f} s, {when}", tail)
    if code:
        how = f"signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"exit code {code}"
        said = f": {error}" if error else ""
        return Outcome("failed", seconds, facts, f"its process ended by {how} {when}{said}", tail)
    if status is None:
        return Outcome("failed", seconds, facts, "its process ended without a word", tail)
    return Outcome(status, seconds, facts, error, "" if status == "ok" else tail)


def _keep(path: Path, name: str, said: str) -> None:
    with path.open("a", encoding="utf-8") as log:
        log.write(f"==== {name}\n{said}\n")
