"""What a phantom has, in a radiologist's words: what drawing, grammar and labeller share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["present", "absent", "uncertain"]
Side = Literal["", "left", "right", "bilateral"]

FINDINGS = ("cardiomegaly", "effusion", "nodule", "pacemaker", "catheter")
GRADES = ("mild", "moderate", "marked")
ZONES = ("upper", "mid", "lower")


@dataclass(frozen=True)
class Label:
    """What a report says of one finding.

    Attributes:
        finding: one of :data:`FINDINGS`.
        status: whether it is there.
        side: the patient's, of what has one.
        grade: one of :data:`GRADES`, of what is graded: a heart's or an effusion's size.
        zone: one of :data:`ZONES`, of a nodule.
    """

    finding: str
    status: Status
    side: Side = ""
    grade: str = ""
    zone: str = ""


@dataclass(frozen=True)
class Study:
    """A phantom's findings: everything that its report says, and no more.

    Attributes:
        heart, effusion, nodule, pacemaker, catheter: one label of each finding, in that order.
    """

    heart: Label
    effusion: Label
    nodule: Label
    pacemaker: Label
    catheter: Label

    @property
    def labels(self) -> tuple[Label, ...]:
        return (self.heart, self.effusion, self.nodule, self.pacemaker, self.catheter)

    @property
    def combination(self) -> str:
        """What studies of one split share with none of another's."""
        return "|".join("/".join((part.status, part.side, part.grade, part.zone)) for part in self.labels)
