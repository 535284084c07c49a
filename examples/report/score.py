"""Scores reports by their findings: what the labeller reads in them beside what it reads in their references.

``cnnrnn eval BUNDLE data/report --split test --captions said.jsonl``, then
``python examples/report/score.py said.jsonl --train data/report/annotation.json``; prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from examples.report.findings import FINDINGS, Label
from examples.report.labeller import label

DEVICES = ("pacemaker", "catheter")


def score(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Finding-level scores of (said, reference) reports.

    A finding is positive where it is present or uncertain, as CheXpert's evaluation has it; it is right where
    the status is the reference's. A wrong side is counted apart, over the findings with a side that both
    reports have, and so are negations: what one report denies and the other affirms without a doubt.

    Returns:
        ``precision``, ``recall`` and ``f1`` over all findings, and by finding; ``negation_errors`` and
        ``wrong_sides`` as shares of what they were counted over; ``wrong_grades`` and ``wrong_zones``
        likewise.
    """
    counts: Counter[str] = Counter()
    by_finding: dict[str, Counter[str]] = {finding: Counter() for finding in FINDINGS}
    for said, reference in pairs:
        found, true = _labels(said), _labels(reference)
        for finding in FINDINGS:
            _count(found[finding], true[finding], counts, by_finding[finding])
    total: Counter[str] = sum(by_finding.values(), Counter())
    return {
        "reports": len(pairs),
        **_rates(total),
        "negation_errors": _share(counts["negation"], counts["judged"]),
        "wrong_sides": _share(counts["wrong_side"], counts["sided"]),
        "wrong_grades": _share(counts["wrong_grade"], counts["graded"]),
        "wrong_zones": _share(counts["wrong_zone"], counts["zoned"]),
        "by_finding": {finding: _rates(tally) for finding, tally in by_finding.items()},
    }


def _labels(text: str) -> dict[str, Label]:
    """A device that a report does not speak of is not there; another finding unspoken of is a miss."""
    found = label(text)
    absent = {finding: Label(finding, "absent") for finding in FINDINGS}
    return {**absent, **found}


def _count(said: Label, true: Label, counts: Counter[str], tally: Counter[str]) -> None:
    positive, wanted = said.status != "absent", true.status != "absent"
    right = positive and said.status == true.status
    tally["right"] += right
    tally["said"] += positive
    tally["there"] += wanted
    counts["judged"] += 1
    counts["negation"] += {said.status, true.status} == {"present", "absent"}
    if not (positive and wanted):
        return
    for what, share in (("side", "sided"), ("grade", "graded"), ("zone", "zoned")):
        if getattr(true, what) and getattr(said, what):
            counts[share] += 1
            counts[f"wrong_{what}"] += getattr(true, what) != getattr(said, what)


def _rates(tally: Counter[str]) -> dict[str, float]:
    precision = _share(tally["right"], tally["said"])
    recall = _share(tally["right"], tally["there"])
    both = precision + recall
    return {"precision": precision, "recall": recall, "f1": 2 * precision * recall / both if both else 0.0}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("said", type=Path, help="what cnnrnn eval --captions wrote")
    parser.add_argument("--train", type=Path, help="annotation.json, for the most frequent report as a floor")
    arguments = parser.parse_args()
    lines = [json.loads(line) for line in arguments.said.read_text(encoding="utf-8").splitlines()]
    result = score([(line["text"], line["references"][0]) for line in lines])
    if arguments.train is not None:
        studies = json.loads(arguments.train.read_text(encoding="utf-8"))["train"]
        ((frequent, _),) = Counter(study["report"] for study in studies).most_common(1)
        result["floor_most_frequent"] = score([(frequent, line["references"][0]) for line in lines])
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
