"""What a check is told, and what it writes down: at once, so that whatever ends its process loses nothing."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class MissingError(Exception):
    """Something is not installed, or too old; the message has the command that changes that."""


class SkippedError(Exception):
    """The check has nothing to say here; the message says why."""


class FailedError(Exception):
    """What the check wanted to see is not so."""


@dataclass(frozen=True)
class Setting:
    """What all checks of a run share.

    Attributes:
        out: the folder of what is kept.
        work: the folder of what is not: what one check leaves for another.
        driver: the folder of the stand-in driver; empty on a GPU.
        pictures: that backends are compared over.
        repetitions: of what is timed, at most.
        engines: the folder of built engines.
        captioner: the folder of the captioner that is timed, see `benchmarks.gpu_check.captioner`.
        good: the names of the checks that have ended well so far.
    """

    out: Path
    work: Path
    driver: str = ""
    pictures: int = 300
    repetitions: int = 500
    engines: Path = Path()
    captioner: Path = Path()
    good: tuple[str, ...] = ()

    @property
    def stand_in(self) -> bool:
        """Whether the checks run over the stand-in driver."""
        return bool(self.driver)

    def write(self, path: Path) -> None:
        """As a file for `read`."""
        path.write_text(json.dumps(dataclasses.asdict(self), default=str), encoding="utf-8")

    @staticmethod
    def read(path: Path) -> Setting:
        """What `write` wrote."""
        found = json.loads(path.read_text(encoding="utf-8"))
        for name in ("out", "work", "engines", "captioner"):
            found[name] = Path(found[name])
        return Setting(**found | {"good": tuple(found["good"])})


class Notes:
    """The facts of one check, in a file.

    Args:
        path: is written anew with every note.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.facts: dict[str, Any] = {}
        self._end: dict[str, str] = {}

    def note(self, **facts: Any) -> None:
        """Write facts down, as JSON has them."""
        self.facts |= facts
        self._write()

    def end(self, status: str, error: str = "") -> None:
        """Write down how the check ended."""
        self._end = {"status": status, "error": error}
        self._write()

    @staticmethod
    def read(path: Path) -> dict[str, Any]:
        """What was written: ``facts`` and, if the check came to its end, ``status`` and ``error``."""
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {"facts": {}}
        return found

    def _write(self) -> None:
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps({"facts": self.facts, **self._end}, default=str), encoding="utf-8")
        os.replace(partial, self._path)
