"""The table at the end of a run."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from benchmarks.gpu_check.outcome import Check, Outcome

WIDTH = 110


def table(checks: Sequence[tuple[Check, Outcome]]) -> str:
    """A line for each check, with what it noted of itself or why it is not ok behind it."""
    wide = max([len(check.name) for check, _ in checks], default=0)
    lines = [f"{'check':{wide}}  {'ended':8} {'s':>6}  what"]
    for check, outcome in checks:
        lead = f"{check.name:{wide}}  {outcome.status:8} {outcome.seconds:6.1f}  "
        what = " ".join((outcome.error or str(outcome.facts.get("summary", ""))).split())
        wrapped = textwrap.wrap(what, max(WIDTH - len(lead), 40), break_on_hyphens=False) or [""]
        lines += [(lead + wrapped[0]).rstrip(), *(" " * len(lead) + line for line in wrapped[1:4])]
    counts = {
        status: sum(outcome.status == status for _, outcome in checks)
        for status in ("ok", "failed", "missing", "skipped", "not run")
    }
    lines.append(", ".join(f"{number} {status}" for status, number in counts.items() if number))
    return "\n".join(lines)
