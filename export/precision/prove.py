"""A lower precision for a bundle: lowered from its fp32 graphs, judged, and cured where it must be.

Nothing of the bundle is written here: what comes back is the bundle with the graphs that passed, in memory.
"""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Sequence
from typing import cast

from cnnrnn.core.errors import OptionsError, PrecisionError
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.export.draft import Draft
from cnnrnn.export.precision.doctor import Doctor, Progress, keep_of
from cnnrnn.export.precision.graphs import Lowered, full_graphs, lowered_graphs
from cnnrnn.export.precision.judging import GatePictures, judge_lowered
from cnnrnn.export.precision.options import LoweringOptions, Precision
from cnnrnn.export.precision.page import write_page
from cnnrnn.export.precision.pins import Pin, Pins
from cnnrnn.export.precision.report import PrecisionReport

_log = logging.getLogger(__name__)

# Pins are found with a part of the pictures; where all of them ask for more, it is looked for again.
ROUNDS = 3

NOTHING: Pins = frozenset()


def prove_precisions(
    draft: Draft,
    options: LoweringOptions,
    tokenizer: Tokenizer,
    given: GatePictures,
    progress: Progress | None = None,
) -> tuple[Draft, dict[str, PrecisionReport]]:
    """Add every precision that is asked for to a bundle.

    Args:
        draft: has the precision ``"fp32"``.
        options: checked already.
        progress: called with a stage's name and how much of how much is done; of 0 where nobody knows.

    Returns:
        The bundle with all of them, and the gate's report of each.

    Raises:
        PrecisionError: one did not pass, with the doctor's help or without; ``report`` is the last report.
        StorageError: the doctor's page cannot be written.
    """
    reports: dict[str, PrecisionReport] = {}
    for name in options.precisions:
        proof = _Proof(draft, cast(Precision, name), tokenizer, given, progress)
        lowered, report = proof.run(options)
        if not report.passed:
            raise PrecisionError(f"nothing was written: {report}\n{_advice(options)}", report)
        draft, reports[name] = lowered.draft, report
    return draft, reports


def kept_from_the_beginning(draft: Draft, patterns: Sequence[str]) -> Pins:
    """The nodes that are to stay float32, each a pin of its own.

    Raises:
        OptionsError: a pattern matches no node.
    """
    if not patterns:
        return NOTHING
    names = [(role, node.name) for role, proto in full_graphs(draft).items() for node in proto.graph.node]
    found: set[Pin] = set()
    for pattern in patterns:
        matched = [entry for entry in names if re.fullmatch(pattern, entry[1])]
        if not matched:
            raise OptionsError(
                f"keep_float32={pattern!r} matches no node of encoder and step; those are called like "
                f"{names[0][1]!r} and {names[-1][1]!r}"
            )
        found |= {frozenset({entry}) for entry in matched}
    return frozenset(found)


def _advice(options: LoweringOptions) -> str:
    if options.doctor:
        return "the doctor found no nodes whose precision cures it; stay with fp32, or train the model again"
    return "with the doctor, the nodes that are the cause are looked for and kept in float32"


@dataclasses.dataclass(frozen=True)
class _Proof:
    """One precision on its way through the gate."""

    draft: Draft
    precision: Precision
    tokenizer: Tokenizer
    given: GatePictures
    progress: Progress | None

    def run(self, options: LoweringOptions) -> tuple[Lowered, PrecisionReport]:
        """Judge, and ask the doctor where it does not pass or where a page is wanted."""
        kept = kept_from_the_beginning(self.draft, options.keep_float32)
        lowered, report = self._judged(kept)
        page = options.report_of(self.precision)
        if not options.doctor or (report.passed and page is None):
            return lowered, report
        before = report
        doctor = Doctor(self.draft, self.precision, self.tokenizer, self.given, self.progress)
        pins = kept
        for _ in range(ROUNDS):
            if report.passed:
                break
            pins = kept | doctor.cure(report.runs.values(), pins)
            lowered, report = self._judged(pins)
        diagnosis = doctor.diagnosis(pins)
        report = dataclasses.replace(report, diagnosis=diagnosis)
        if page is not None:
            write_page(page, self.draft.manifest.name, before, report, doctor.ranges)
        return lowered, report

    def _judged(self, pins: Pins) -> tuple[Lowered, PrecisionReport]:
        lowered = lowered_graphs(self.draft, full_graphs(self.draft), self.precision, keep_of(pins))
        tell = self.progress
        report = judge_lowered(
            self.draft,
            lowered,
            self.given,
            self.tokenizer,
            progress=None if tell is None else lambda done, total: tell(self.precision, done, total),
        )
        _log.info("%s", report)
        return lowered, report
