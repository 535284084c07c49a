"""Two reports of one bundle: which settings became slower or faster by more than the noise of both."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from cnnrnn.core.errors import OptionsError

# Less is no change that anybody would act on, however quiet the machine.
LEAST_CHANGE = 0.05

Verdict = Literal["slower", "faster", "as before"]


@dataclass(frozen=True)
class Row:
    """One setting in both reports.

    Attributes:
        setting: as the reports have it.
        stage: ``"total"``, or one of the stages.
        before_ms, after_ms: medians.
        ratio: after over before.
        noise: how far the ratio may be from 1 by chance: the spreads of both, `LEAST_CHANGE` at least.
    """

    setting: dict[str, Any]
    stage: str
    before_ms: float
    after_ms: float
    ratio: float
    noise: float
    verdict: Verdict


@dataclass(frozen=True)
class Comparison:
    """What became of each setting that both reports have.

    Attributes:
        rows: of each setting, all its stages and the total.
        notes: what makes the comparison less than it should be.
    """

    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    @property
    def slower(self) -> bool:
        """Whether an answer takes longer than before in any setting."""
        return any(row.stage == "total" and row.verdict == "slower" for row in self.rows)


def compare(before: dict[str, Any], after: dict[str, Any]) -> Comparison:
    """Compare two reports as `read_report` gives them.

    A change counts where the medians differ by more than half of the spread of each run, and the least times
    differ in the same direction by more than half as much: noise makes times longer, and leaves the least.

    Raises:
        OptionsError: they are of different bundles, or have no setting in common.
    """
    first, second = before["bundle"], after["bundle"]
    if first["sha256"] != second["sha256"]:
        raise OptionsError(
            f"the reports are of different bundles, {first['name']} {first['sha256'][:12]} and "
            f"{second['name']} {second['sha256'][:12]}; measure the same one twice"
        )
    known = {_key(entry): entry for entry in before["settings"]}
    shared = [(known[_key(entry)], entry) for entry in after["settings"] if _key(entry) in known]
    if not shared:
        raise OptionsError("the reports have no setting in common; measure both with the same options")
    rows = [
        _row(old["setting"], stage, old["stages"][stage], new["stages"][stage])
        for old, new in shared
        for stage in new["stages"]
        if stage in old["stages"]
    ]
    return Comparison(tuple(rows), tuple(_notes(before, after)))


def _key(entry: dict[str, Any]) -> str:
    return json.dumps(entry["setting"], sort_keys=True)


def _row(setting: dict[str, Any], stage: str, old: dict[str, Any], new: dict[str, Any]) -> Row:
    ratio = _ratio(old["p50_ms"], new["p50_ms"])
    noise = max(LEAST_CHANGE, (old["spread"] + new["spread"]) / 2)
    least = _ratio(old["minimum_ms"], new["minimum_ms"])
    verdict: Verdict = "as before"
    if ratio > 1 + noise and least > 1 + noise / 2:
        verdict = "slower"
    elif ratio < 1 / (1 + noise) and least < 1 / (1 + noise / 2):
        verdict = "faster"
    return Row(setting, stage, old["p50_ms"], new["p50_ms"], ratio, noise, verdict)


def _ratio(old: float, new: float) -> float:
    return new / old if old else 1.0


def _notes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    notes = [
        f"the {name} run is noisy: {'; '.join(content['noisy'])}"
        for name, content in (("first", before), ("second", after))
        if content.get("noisy")
    ]
    for name in ("processor", "physical_cores", "governor", "processor_quota", "gpus", "power_mode"):
        old, new = (content["machine"].get(name) for content in (before, after))
        if old != new:
            notes.append(f"the machines differ: {name} is {old!r}, then {new!r}")
    return notes
