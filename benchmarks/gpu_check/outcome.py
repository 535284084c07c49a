"""What a check is, how it may end, and what the whole run ends with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Status = Literal["ok", "failed", "missing", "skipped", "not run"]

GOOD, FAILED, NO_DEVICE, INTERRUPTED = 0, 1, 3, 130


@dataclass(frozen=True)
class Check:
    """One check, which runs in a process of its own.

    Attributes:
        name: ``"parity tensorrt fp16"``.
        group: what it is a part of: ``"parity"``.
        function: ``"module:function"``; it is called with the `Setting`, its `Notes` and ``arguments``.
        arguments: by name, as JSON carries them.
        limit_s: it is killed after so many seconds. One that has an argument ``within_s`` ends by itself
            after about so many, with what it has by then.
        least_s: with less time than this it is not begun.
        proves: what it means that it is ok, a sentence.
        missing: why it cannot be run here, with the command that changes that; empty where it can.
        skipped: why it is not to be run; empty where it is.
    """

    name: str
    group: str
    function: str
    arguments: dict[str, Any] = field(default_factory=dict)
    limit_s: float = 30.0
    proves: str = ""
    missing: str = ""
    skipped: str = ""
    least_s: float = 0.0

    def within(self, left_s: float) -> Check:
        """The same where so many seconds are left for all."""
        wanted = self.arguments.get("within_s")
        if wanted is None or left_s >= self.limit_s:
            return self
        grace = self.limit_s - wanted
        return replace(self, arguments={**self.arguments, "within_s": max(left_s - grace, 0.0)})


@dataclass(frozen=True)
class Outcome:
    """How a check ended.

    Attributes:
        status: ``"ok"``; ``"failed"``; ``"missing"``: something is not installed; ``"skipped"``: for a reason
            that is no fault; ``"not run"``: the whole run ended before.
        seconds: that its process took.
        facts: what it noted, also if it then failed, crashed or was killed.
        error: why it is not ok, a sentence or two.
        tail: the end of what its process printed.
    """

    status: Status
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    tail: str = ""


NOT_RUN = Outcome("not run", error="the run ended before it")


def exit_code(outcomes: Iterable[Outcome], *, on_a_gpu: bool) -> int:
    """Of the whole run: 0 all good, 1 a check failed, 3 there was no GPU to run them on."""
    if any(outcome.status in ("failed", "not run") for outcome in outcomes):
        return FAILED
    return GOOD if on_a_gpu else NO_DEVICE
