"""The precision gate's report: how many captions of a lower precision are fp32's, and where others left."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from cnnrnn.export.precision.findings import Diagnosis
from cnnrnn.export.report import SearchParity, plain

# Of the captions that are no ties, the share that has to be fp32's.
LEAST_SHARE = 0.995

# What judges a precision, and how it runs the graphs.
AS_WRITTEN = "onnxruntime"
AS_STORED = "stored"
RUNS = {
    AS_WRITTEN: "the files as they are, by ONNX Runtime on the CPU",
    AS_STORED: "every tensor rounded to the precision after each operator, as a GPU stores it",
}


@dataclass(frozen=True)
class NotFinite:
    """A tensor that became NaN or infinite where fp32's did not.

    Attributes:
        tensor: the graph's output.
        searches: in how many of them.
        picture, beams, step: the first; step is counted from 0, and None for the encoder's tensors.
    """

    tensor: str
    searches: int
    picture: str
    beams: int
    step: int | None

    def __str__(self) -> str:
        where = "in the encoder" if self.step is None else f"at step {self.step}"
        return (
            f"{self.tensor} is NaN or infinite in {self.searches} searches, first {where} of {self.picture}, "
            f"beams {self.beams}"
        )


@dataclass(frozen=True)
class Judgement:
    """One way of running a precision's graphs, beside fp32's.

    Attributes:
        how: in words.
        searches: one for each width; of a picture only the best caption counts, token for token. A tie is
            a caption that fp32 itself scores within the report's ``tie`` of its own.
        not_finite: one for each tensor that was NaN or infinite anywhere.
    """

    how: str
    searches: tuple[SearchParity, ...]
    not_finite: tuple[NotFinite, ...]

    @property
    def passed(self) -> bool:
        """Whether enough captions are fp32's in every search, and no number was NaN or infinite."""
        return not self.not_finite and all(share_of(search) >= LEAST_SHARE for search in self.searches)


@dataclass(frozen=True)
class PrecisionReport:
    """The precision gate's findings, kept in the bundle's manifest.

    Attributes:
        precision: ``"fp16"`` or ``"bf16"``.
        pictures: how many were decoded; ``source`` says whose, ``skipped`` which could not be read.
        tie: captions whose scores by fp32 are closer than this are a numerical tie.
        runs: by name, each way in which the graphs were run.
        pinned: by graph, the nodes that stay float32 though by default they would not.
        notes: what else a person should know: why a way of running is missing.
        versions: of ONNX and ONNX Runtime.
        diagnosis: the doctor's, where it was asked.
    """

    precision: str
    pictures: int
    source: str
    skipped: tuple[str, ...]
    tie: float
    runs: dict[str, Judgement]
    pinned: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]
    versions: dict[str, str]
    diagnosis: Diagnosis | None = None

    @property
    def passed(self) -> bool:
        """True where every run passed, and there was one at least."""
        return bool(self.runs) and all(judgement.passed for judgement in self.runs.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, strings and numbers, for JSON."""
        runs = {
            name: {"passed": judgement.passed, **plain(dataclasses.asdict(judgement))}
            for name, judgement in self.runs.items()
        }
        return {
            "passed": self.passed,
            **plain(dataclasses.asdict(self)),
            "least_share": LEAST_SHARE,
            "runs": runs,
        }

    def __str__(self) -> str:
        lines = [
            f"{self.precision} {'passed' if self.passed else 'FAILED'} over {self.pictures} pictures "
            f"({self.source}); {LEAST_SHARE:.1%} of the captions that are no ties have to be fp32's; a tie "
            f"is two captions that fp32 scores within {self.tie:.3g}"
        ]
        for name, judgement in self.runs.items():
            lines += self._run_lines(name, judgement)
        for graph, nodes in self.pinned.items():
            lines.append(f"kept in float32 in the {graph}: {', '.join(nodes)}")
        if self.diagnosis is not None:
            lines += self.diagnosis.lines()
        return "\n".join([*lines, *self.notes])

    def _run_lines(self, name: str, judgement: Judgement) -> list[str]:
        lines = [f"{name}: {judgement.how}", *(f"  {entry}" for entry in judgement.not_finite)]
        for search in judgement.searches:
            lines.append(
                f"  beams {search.beams}: {search.identical} of {search.pictures} captions equal, "
                f"{len(search.ties)} numerical ties, {len(search.mismatches)} others; "
                f"{share_of(search):.2%} without the ties"
            )
            for kind, departures in (("tie", search.ties), ("other", search.mismatches)):
                lines += [f"    {kind}: {entry.told('fp32', self.precision)}" for entry in departures]
        return lines


def share_of(search: SearchParity) -> float:
    """Equal captions as a share of those that are no ties; 0 where all are ties, which prove nothing."""
    counted = search.pictures - len(search.ties)
    return search.identical / counted if counted else 0.0
