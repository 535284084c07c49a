"""A run: is there a GPU; then every check, one after the other, within the time there is."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Sequence

from benchmarks.gpu_check import devices, goals
from benchmarks.gpu_check.notes import Setting
from benchmarks.gpu_check.outcome import Check, Outcome, exit_code
from benchmarks.gpu_check.place import build_stand_in, stand_in_missing
from benchmarks.gpu_check.plan import DEVICES, plan
from benchmarks.gpu_check.processes import LOG, run_check
from benchmarks.gpu_check.report import FILE, STAND_IN, Report
from benchmarks.gpu_check.table import table

BUDGET_S = 470.0
TABLE = "table.txt"
# Over the stand-in driver it is only tried out: pictures, and repetitions of what is timed.
FEW_PICTURES, FEW_REPETITIONS = 12, 2
# Less time than this is no time for a check.
LEAST_S = 4.0


def run(setting: Setting, budget_s: float = BUDGET_S, only: Sequence[str] = ()) -> int:
    """Everything; prints what it does and the table, and gives the exit code."""
    (setting.out / LOG).unlink(missing_ok=True)
    report = Report(setting.out, budget_s)
    report.describe(machine=devices.machine(), driver=devices.driver(), versions=devices.versions())
    report.plan([DEVICES])
    try:
        found = _found(setting, report)
        if found is not None:
            report.describe(pictures=found.pictures, repetitions=found.repetitions)
            run_checks(plan(found, only), found, report, budget_s)
        on_a_gpu = found is not None and not found.stand_in
        code = exit_code((outcome for _, outcome in report.checks), on_a_gpu=on_a_gpu)
        report.describe(goals=goals.goals(report) if on_a_gpu else [])
        report.finish(code)
    finally:
        _tell(setting, report)
    return code


def run_checks(checks: Iterable[Check], setting: Setting, report: Report, budget_s: float) -> None:
    """Each in its turn; what no time is left for says so."""
    checks = list(checks)
    report.plan(checks)
    started = time.monotonic()
    for number, check in enumerate(checks):
        left = budget_s - (time.monotonic() - started)
        print(f"[{number + 1}/{len(checks)}] {check.name}: ", end="", flush=True)
        check = check.within(left)
        if left < max(LEAST_S, check.least_s) and not check.missing and not check.skipped:
            outcome = Outcome("skipped", error=f"no time was left: all have {budget_s:.0f} s together")
        else:
            good = tuple(name for name, ended in report.outcomes.items() if ended.status == "ok")
            outcome = run_check(check, dataclasses.replace(setting, good=good), left)
        report.put(check, outcome)
        print(f"{outcome.status}, {outcome.seconds:.1f} s", flush=True)


def _found(setting: Setting, report: Report) -> Setting | None:
    """Where the checks are to run; None where they cannot."""
    outcome = run_check(DEVICES, setting)
    report.put(DEVICES, outcome)
    gpus = outcome.facts.get("gpus")
    if outcome.status == "ok" and gpus:
        driver = devices.driver() | {"cuda": gpus[0]["cuda"]}
        report.describe(device=gpus[0]["name"], times_are_meaningless=False, driver=driver, gpus=gpus)
        return setting
    report.describe(device=None, times_are_meaningless=True)
    if outcome.status == "failed":
        report.describe(why=f"whether there is a GPU is not known: {outcome.error}")
        return None
    lacks = stand_in_missing()
    if lacks:
        report.describe(why=f"{outcome.error}. Nor can the stand-in driver be used: {lacks}")
        return None
    report.describe(device=STAND_IN, why=outcome.error)
    return dataclasses.replace(
        setting,
        driver=build_stand_in(setting.work / "driver"),
        pictures=min(setting.pictures, FEW_PICTURES),
        repetitions=min(setting.repetitions, FEW_REPETITIONS),
    )


def _tell(setting: Setting, report: Report) -> None:
    """Print the table, and keep it."""
    found = report.to_dict()
    lines = ["", table(report.checks)]
    lines += [f"goal: {goal['text']}" for goal in found.get("goals", [])]
    if found["times_are_meaningless"]:
        lines.append(f"{found.get('why', '')}: the times of this run mean nothing.")
    lines.append(f"{found['seconds']:.0f} s; {FILE}, {TABLE} and {LOG} are in the folder of --out")
    text = "\n".join(lines)
    print(text, flush=True)
    (setting.out / TABLE).write_text(text + "\n", encoding="utf-8")
