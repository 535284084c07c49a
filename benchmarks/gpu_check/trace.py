"""The checks `trace`: a profiler's view of one answer, with no copy between its first step and its last.

On a GPU it is that of CUPTI, through torch's profiler or else Nsight Systems; over the stand-in driver, the
driver's own list of the work that it carried out.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cnnrnn
from benchmarks.gpu_check.loops import engines_here
from benchmarks.gpu_check.notes import FailedError, MissingError, Notes, Setting, SkippedError
from benchmarks.gpu_check.place import command, driver_runs, forget, missing, model, pictures
from benchmarks.gpu_check.processes import ROOT

# Kernels of `cnnrnn.runtime.device.loop_kernels`: of the encoder's end, and of each step's.
BEFORE, LAST_OF_STEP = "widen", "advance"
_KINDS = ("HtoD", "DtoH", "DtoD", "copy")
_NSYS_S = 40
SHOWN = 8


@dataclass(frozen=True)
class Event:
    """Something that the device did: its name, and for a copy from where to where, ``"DtoH"``."""

    name: str
    start: float
    copy: str = ""


@dataclass(frozen=True)
class Between:
    """What the device did from the first step to the last, in order."""

    steps: int
    events: Sequence[Event]

    @property
    def copies(self) -> list[Event]:
        """Those among them that are copies."""
        return [event for event in self.events if event.copy]


def trace(setting: Setting, notes: Notes, *, way: str) -> None:
    """One way of looping."""
    backend = engines_here(setting, way)
    notes.note(backend=backend)
    if setting.stand_in:
        notes.note(profiler="the stand-in driver's own log")
        events, steps = _of_the_driver(setting, backend, way)
    elif _torch_sees_it():
        notes.note(profiler="CUPTI, through torch.profiler")
        events, steps = _of_torch(setting, backend, way)
    elif command("nsys"):
        notes.note(profiler="Nsight Systems")
        events, steps = _of_nsys(setting, backend, way)
    else:
        lacks = missing("torch") or "this PyTorch sees no GPU"
        raise MissingError(f"there is no profiler: {lacks}, and nsys (Nsight Systems) is not installed")
    notes.note(events=len(events), steps=steps)
    between = of_the_steps(events)
    judge(between, steps, notes)


def judge(between: Between | None, steps: int, notes: Notes) -> None:
    """Note what lies between the first step and the last, and refuse copies.

    Raises:
        SkippedError: the profiler does not show the steps.
        FailedError: something was copied there.
    """
    if between is None or between.steps < steps:
        seen = 0 if between is None else between.steps
        raise SkippedError(
            f"the profiler shows {seen} of {steps} steps: it does not look into the loop of a graph here, so "
            "nothing is proven by it; the counters of the check 'loops' are what there is"
        )
    kinds = {kind: sum(event.copy == kind for event in between.copies) for kind in _KINDS}
    notes.note(
        steps_seen=between.steps,
        kernels=len(between.events) - len(between.copies),
        copies=kinds,
        copied=[event.name for event in between.copies[:SHOWN]],
        summary=f"{between.steps} steps, {len(between.events)} kernels, no copy among them",
    )
    if between.copies:
        told = ", ".join(f"{number} {kind}" for kind, number in kinds.items() if number)
        where = (
            "on the device alone, by the engines or between them"
            if kinds["DtoD"] == len(between.copies)
            else "some between host and device"
        )
        raise FailedError(
            f"{len(between.copies)} copies from the first step to the last ({told}), {where}: "
            f"{', '.join(event.name for event in between.copies[:SHOWN])}"
        )


def of_the_steps(events: Iterable[Event]) -> Between | None:
    """What came after the encoder of the last answer, up to the end of its last step; None without a step.

    The first state is made wide after the encoder (`BEFORE`); each step ends by counting (`LAST_OF_STEP`).
    """
    ordered = sorted(events, key=lambda event: event.start)
    ends = [place for place, event in enumerate(ordered) if _is(event, LAST_OF_STEP)]
    if not ends:
        return None
    begins = [place for place, event in enumerate(ordered[: ends[-1]]) if _is(event, BEFORE)]
    if not begins:
        return None
    part = ordered[begins[-1] + 1 : ends[-1] + 1]
    return Between(sum(_is(event, LAST_OF_STEP) for event in part), part)


def _is(event: Event, kernel: str) -> bool:
    """Profilers may write a kernel's arguments behind its name."""
    return not event.copy and event.name.partition("(")[0] == kernel


def _of_the_driver(setting: Setting, backend: str, way: str) -> tuple[list[Event], int]:
    (image,) = pictures(1)
    with model(setting, backend, loop=way) as captioner:
        captioner(image)
        forget()
        result = captioner(image)
    events = [
        Event(name, place, _copied(name) if name.startswith("copy ") else "")
        for place, name in enumerate(driver_runs())
    ]
    return events, result.steps


def _torch_sees_it() -> bool:
    if missing("torch"):
        return False
    import torch

    return torch.cuda.is_available()


def _of_torch(setting: Setting, backend: str, way: str) -> tuple[list[Event], int]:
    import torch
    from torch.profiler import ProfilerActivity, profile

    torch.zeros(1, device="cuda")
    (image,) = pictures(1)
    with model(setting, backend, loop=way) as captioner:
        captioner(image)
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
            result = captioner(image)
            torch.cuda.synchronize()
        path = setting.work / f"trace-{way}.json"
        profiler.export_chrome_trace(str(path))
    text = path.read_bytes()
    (setting.out / f"trace-{way}.json.gz").write_bytes(gzip.compress(text))
    return chrome_events(json.loads(text)), result.steps


def chrome_events(found: dict[str, Any]) -> list[Event]:
    """The device's work in a trace of torch's profiler."""
    return [
        Event(entry["name"], float(entry["ts"]), _copied(entry["name"]) if cat == "gpu_memcpy" else "")
        for entry in found["traceEvents"]
        if (cat := entry.get("cat")) in ("kernel", "gpu_memcpy", "gpu_memset")
    ]


def _copied(name: str) -> str:
    """``HtoD`` of ``Memcpy HtoD (Pinned -> Device)``, of ``[CUDA memcpy Host-to-Device]``, of ``copy host to
    device``."""
    plain = re.sub(r"[\s-]", "", name.lower())
    spellings = {"htod": "HtoD", "dtoh": "DtoH", "dtod": "DtoD", "hosttodevice": "HtoD"}
    spellings |= {"devicetohost": "DtoH", "devicetodevice": "DtoD"}
    return next((kind for spelt, kind in spellings.items() if spelt in plain), "copy")


def _of_nsys(setting: Setting, backend: str, way: str) -> tuple[list[Event], int]:
    report = setting.work / f"trace-{way}"
    answer = [sys.executable, "-m", "benchmarks.gpu_check.trace", backend, way]
    profiled = _nsys(
        "profile", "--trace=cuda", "--cuda-graph-trace=node", "--force-overwrite=true",
        "--output", str(report), *answer,
    )  # fmt: skip
    steps = int(profiled.split("steps:")[1].split()[0])
    table = _nsys(
        "stats", "--report", "cuda_gpu_trace", "--format", "csv", "--output", "-", f"{report}.nsys-rep"
    )
    return nsys_events(table), steps


def nsys_events(table: str) -> list[Event]:
    """The device's work in the report ``cuda_gpu_trace`` of Nsight Systems, as CSV."""
    rows = table[table.index("Start (ns)") :]
    return [
        Event(row["Name"], float(row["Start (ns)"]), _copied(row["Name"]) if "memcpy" in row["Name"] else "")
        for row in csv.DictReader(io.StringIO(rows))
        if row.get("Name")
    ]


def _nsys(*arguments: str) -> str:
    """What it prints."""
    try:
        done = subprocess.run(
            [command("nsys"), *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=_NSYS_S,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise FailedError(f"nsys {arguments[0]}: {error.stderr[-500:]}") from error
    return done.stdout


def _profiled(backend: str, way: str) -> None:
    """What Nsight Systems looks at: two answers, of which the last counts."""
    (image,) = pictures(1)
    with model(Setting(Path(), Path()), backend, loop=way) as captioner:
        captioner(image)
        result: cnnrnn.Result = captioner(image)
    print(f"steps: {result.steps}")


if __name__ == "__main__":
    _profiled(*sys.argv[1:])
