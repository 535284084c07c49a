"""The JSON of a run: one file, whole after every check."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.gpu_check.outcome import NOT_RUN, Check, Outcome
from cnnrnn.core.storage import write_atomic

FILE = "gpu_check.json"
SCHEMA = 1
COUNTERS = ("host_to_device_bytes", "device_to_host_bytes", "synchronizes")
STAND_IN = "stand-in"


class Report:
    """What is known so far.

    Args:
        folder: where `FILE` is written.
        budget_s: for all checks.
    """

    def __init__(self, folder: Path, budget_s: float) -> None:
        self._path = folder / FILE
        self._started = time.monotonic()
        self._checks: list[Check] = []
        self.outcomes: dict[str, Outcome] = {}
        self._head: dict[str, Any] = {
            "schema": SCHEMA,
            "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "budget_s": budget_s,
            "device": None,
            "times_are_meaningless": None,
        }
        self._end: dict[str, Any] = {"finished": False, "exit_code": None}

    def describe(self, **head: Any) -> None:
        """Add to what stands above the checks."""
        self._head |= head
        self.write()

    def plan(self, checks: Sequence[Check]) -> None:
        """Say which checks there are to be, beside those that there were."""
        self._checks += checks
        self.write()

    def put(self, check: Check, outcome: Outcome) -> None:
        """Keep how a check ended."""
        self.outcomes[check.name] = outcome
        self.write()

    def finish(self, code: int) -> None:
        """Say that this is all."""
        self._end = {"finished": True, "exit_code": code}
        self.write()

    @property
    def checks(self) -> list[tuple[Check, Outcome]]:
        """All, in order, with how each ended so far."""
        return [(check, self.outcomes.get(check.name, NOT_RUN)) for check in self._checks]

    def facts(self, name: str) -> dict[str, Any]:
        """What a check noted; nothing if it did not run."""
        return self.outcomes.get(name, NOT_RUN).facts

    def to_dict(self) -> dict[str, Any]:
        """As the file has it."""
        return {
            **self._head,
            "seconds": round(time.monotonic() - self._started, 1),
            **self._end,
            "loops": self._loops(),
            "checks": [
                {
                    "name": check.name,
                    "group": check.group,
                    "proves": check.proves,
                    "limit_s": check.limit_s,
                    **dataclasses.asdict(outcome),
                }
                for check, outcome in self.checks
            ],
        }

    def write(self) -> None:
        """Write the file."""
        write_atomic(self._path, (json.dumps(self.to_dict(), indent=1, default=str) + "\n").encode())

    def _loops(self) -> dict[str, dict[str, Any]]:
        """By the way of looping, what crossed between host and device between its first step and its last."""
        found = {}
        for check, outcome in self.checks:
            if check.group == "loops" and list(check.arguments) == ["way"]:
                counters = outcome.facts.get("counters", {})
                found[check.arguments["way"]] = {
                    "status": outcome.status,
                    "backend": outcome.facts.get("backend"),
                    "steps": outcome.facts.get("steps"),
                    **{name: counters.get(name) for name in COUNTERS},
                }
        return found
