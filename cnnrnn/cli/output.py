"""What the commands write: answers on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
import time
import unicodedata
from collections.abc import Sequence
from typing import Any

from cnnrnn.core.errors import CnnrnnError

BAR_CELLS = 30
REDRAW_S = 0.1


def print_line(text: str = "") -> None:
    """One line on standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_json(value: object) -> None:
    """One JSON object on a line of its own, flushed at once so that a reading program need not wait."""
    print_line(json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain))


def isolated(text: str) -> str:
    """Text that is written from right to left, so that it leaves the order of what stands around it alone.

    By Unicode's first-strong isolate (UAX #9), which a terminal that knows no directions does not show; text
    of other scripts stays as it is.
    """
    turned = any(unicodedata.bidirectional(character) in ("R", "AL") for character in text)
    return f"\u2068{text}\u2069" if turned else text


def note(text: str) -> None:
    """One line on standard error, for people."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def note_unusable(picture: str, error: object) -> None:
    """Say that one picture of several could not be used, naming it where the error does not."""
    note(f"cnnrnn: {error}" if picture in str(error) else f"cnnrnn: {picture}: {error}")


def print_error(error: CnnrnnError, *, as_json: bool) -> None:
    """Say what went wrong: on standard error, and with ``--json`` as the answer's line too."""
    note(f"cnnrnn: {error}")
    if as_json:
        line: dict[str, Any] = {"error": str(error), "kind": type(error).__name__}
        report = getattr(error, "report", None)
        if report is not None:
            line["report"] = report.to_dict()
        print_json(line)


def table(rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> list[str]:
    """Rows as lines with aligned columns.

    Args:
        rows: the cells; every row has as many as the first.
        right: the columns that are aligned to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


class Progress:
    """How far long work is: a bar that redraws itself on a terminal, a line at each tenth elsewhere.

    Args:
        total: how many units the work has.
        what: what a unit is, in the plural.
    """

    def __init__(self, total: int, what: str) -> None:
        self._total = max(total, 1)
        self._what = what
        self._terminal = sys.stderr.isatty()
        self._drawn_at = float("-inf")
        self._tenth = 0

    def update(self, done: int) -> None:
        """Say that ``done`` units in all are done."""
        if self._terminal:
            self._redraw(done)
        elif done * 10 // self._total > self._tenth:
            self._tenth = done * 10 // self._total
            note(f"{done}/{self._total} {self._what}")

    def _redraw(self, done: int) -> None:
        finished = done >= self._total
        if not finished and time.monotonic() - self._drawn_at < REDRAW_S:
            return
        self._drawn_at = time.monotonic()
        full = BAR_CELLS * done // self._total
        bar = "█" * full + "░" * (BAR_CELLS - full)
        sys.stderr.write(f"\r{bar} {done}/{self._total} {self._what}" + ("\n" if finished else ""))
        sys.stderr.flush()


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays, and paths, as JSON has them."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)
