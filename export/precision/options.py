"""Which lower precisions a bundle gets, and what is done about those that say something else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from cnnrnn.core.errors import OptionsError
from cnnrnn.core.storage import check_folder_of

Precision: TypeAlias = Literal["fp16", "bf16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
FULL = "fp32"
LEAST_PICTURES = 300
MOST_PICTURES = 512


@dataclass(frozen=True)
class LoweringOptions:
    """The precisions beside fp32, each proven by the precision gate.

    Attributes:
        precisions: ``"fp16"``, ``"bf16"``, or both; none by default.
        doctor: where a precision does not pass, look for the nodes that are the cause, keep those in float32
            and judge again; False refuses the precision.
        doctor_report: an HTML page to write about it, of the ranges that were found, whether or not the gate
            needed them; of several precisions ``NAME.fp16.html`` and ``NAME.bf16.html``.
        keep_float32: regular expressions of nodes' names; the nodes that one matches as a whole stay float32
            from the beginning, whether or not the gate needs it.
        least_pictures: how few pictures are too few to prove anything.
        most_pictures: of a larger folder, as many are used.
    """

    precisions: tuple[str, ...] = ()
    doctor: bool = True
    doctor_report: Path | None = None
    least_pictures: int = LEAST_PICTURES
    most_pictures: int = MOST_PICTURES
    keep_float32: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse what cannot be, before any work.

        Raises:
            OptionsError: a precision that is unknown or given twice, limits that contradict, or a report by
                a doctor that is not to be asked.
            StorageError: the folder of ``doctor_report`` does not exist.
        """
        known = ", ".join(PRECISIONS)
        for place, name in enumerate(self.precisions):
            if name not in PRECISIONS:
                hint = "; the fp32 graphs are always made" if name == FULL else ""
                raise OptionsError(f"precision {name!r} is unknown; known are {known}{hint}")
            if name in self.precisions[:place]:
                raise OptionsError(f"precision {name!r} is given twice; give each of {known} once at most")
        if self.least_pictures < 1 or self.most_pictures < self.least_pictures:
            raise OptionsError(
                f"least_pictures={self.least_pictures} and most_pictures={self.most_pictures}: the first is "
                "at least 1, the second at least the first"
            )
        if self.doctor_report is not None:
            self._check_report(self.doctor_report)
        for pattern in self.keep_float32:
            if not self.precisions:
                raise OptionsError(f"keep_float32={pattern!r} is about no precision; give precisions=")
            try:
                re.compile(pattern)
            except re.error as error:
                raise OptionsError(f"keep_float32={pattern!r} is no regular expression: {error}") from error

    def report_of(self, precision: str) -> Path | None:
        """The page to write about one precision."""
        if self.doctor_report is None or len(self.precisions) < 2:
            return self.doctor_report
        return self.doctor_report.with_suffix(f".{precision}{self.doctor_report.suffix}")

    def _check_report(self, page: Path) -> None:
        if not self.doctor:
            raise OptionsError(f"doctor_report={str(page)!r} contradicts doctor=False; leave one of them out")
        if not self.precisions:
            raise OptionsError(f"doctor_report={str(page)!r} is about no precision; give precisions=")
        check_folder_of(page)
