"""The parity gate's report: dataclasses that become JSON for the manifest, and sentences for a person."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnrnn.export.precision.report import PrecisionReport


@dataclass(frozen=True)
class Departure:
    """Where the two searches of one picture parted.

    Attributes:
        picture: the file's name.
        beams: the search's width.
        step: the first step, counted from 0, at which the live beams differ; None where only the ranking of
            finished captions does.
        beam: the first beam that differs there, best first.
        score_gap: how far apart the two choices are: in the parity gate those of that place, in the score of
            torch or of ONNX Runtime, whichever sees them further apart; in the precision gate the two
            captions, in fp32's score. Below the report's limit it is a tie.
        expected, found: the best captions of what is compared with (torch, or the fp32 graphs) and of what
            is judged (ONNX Runtime, or the graphs of the other precision).
    """

    picture: str
    beams: int
    step: int | None
    beam: int
    score_gap: float
    expected: str
    found: str

    def __str__(self) -> str:
        return self.told("torch", "ONNX Runtime")

    def told(self, expected: str, found: str) -> str:
        """A sentence that calls the two sides by these names."""
        where = "in the ranking of finished captions" if self.step is None else f"at step {self.step}"
        return (
            f"{self.picture}, beams {self.beams}: the searches part {where}, beam {self.beam}, over choices "
            f"that differ by {self.score_gap:.3g}; {expected} says {self.expected!r}, {found} {self.found!r}"
        )


@dataclass(frozen=True)
class SearchParity:
    """One width's free decoding: every finished hypothesis of every picture, token for token.

    Attributes:
        identical: pictures whose hypotheses are all the same.
        ties: pictures that parted at a numerical tie; counted apart, and no failure.
        mismatches: pictures that parted otherwise.
    """

    beams: int
    pictures: int
    identical: int
    ties: tuple[Departure, ...]
    mismatches: tuple[Departure, ...]


@dataclass(frozen=True)
class TensorParity:
    """One tensor over all pictures and all steps up to a parting.

    Attributes:
        compared: how many (picture, step) pairs.
        largest_difference: the largest absolute difference.
        worst: the largest share of the tolerance that a difference took; above 1 it failed.
        picture, step: where that was; step is None for the encoder's tensors.
        limit: the tolerance in words.
    """

    compared: int
    largest_difference: float
    worst: float
    picture: str
    step: int | None
    limit: str

    @property
    def passed(self) -> bool:
        """Whether every difference was within the tolerance."""
        return self.worst <= 1.0


@dataclass(frozen=True)
class StorageEffect:
    """What rounding the weights to fp16 did to the model itself, apart from the export.

    Attributes:
        pictures: how many were captioned, greedily, by the model as trained and as rounded.
        same_caption: for how many both say the same.
    """

    weight_storage: str
    pictures: int
    same_caption: int


@dataclass(frozen=True)
class ParityReport:
    """The gate's findings, kept in the bundle's manifest.

    Attributes:
        pictures: how many were decoded; ``source`` says whose, ``skipped`` which could not be read.
        searches: one for each width.
        tensors: by name of the graph's output.
        storage: the effect of fp16 storage, or None where weights are stored as they are.
        versions: of torch and ONNX Runtime.
        precisions: the precision gate's report of each lower precision, which this one does not judge.
    """

    pictures: int
    source: str
    skipped: tuple[str, ...]
    searches: tuple[SearchParity, ...]
    tensors: dict[str, TensorParity]
    storage: StorageEffect | None
    versions: dict[str, str]
    precisions: dict[str, PrecisionReport] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """True where every caption is the same or a tie, and every tensor within its tolerance."""
        return not any(search.mismatches for search in self.searches) and all(
            tensor.passed for tensor in self.tensors.values()
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, strings and numbers, for JSON."""
        told = {name: report.to_dict() for name, report in self.precisions.items()}
        return {"passed": self.passed, **plain(dataclasses.asdict(self)), "precisions": told}

    def __str__(self) -> str:
        lines = [
            f"parity {'passed' if self.passed else 'FAILED'} over {self.pictures} pictures ({self.source}), "
            f"{sum(search.pictures for search in self.searches)} searches"
        ]
        for search in self.searches:
            lines.append(
                f"beams {search.beams}: {search.identical} of {search.pictures} identical, "
                f"{len(search.ties)} numerical ties, {len(search.mismatches)} mismatches"
            )
            lines += [f"  tie: {departure}" for departure in search.ties]
            lines += [f"  mismatch: {departure}" for departure in search.mismatches]
        for name, tensor in self.tensors.items():
            if not tensor.passed:
                where = "in the encoder" if tensor.step is None else f"at step {tensor.step}"
                lines.append(
                    f"{name}: {tensor.picture} {where} is {tensor.worst:.3g} times the tolerance "
                    f"({tensor.limit})"
                )
        if self.storage is not None:
            lines.append(
                f"weights stored as {self.storage.weight_storage}: {self.storage.same_caption} of "
                f"{self.storage.pictures} greedy captions are those of the weights as trained"
            )
        return "\n".join([*lines, *map(str, self.precisions.values())])


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return value
