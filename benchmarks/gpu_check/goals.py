"""What the speed is to be, beside what it was found to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.gpu_check.place import BACKENDS
from benchmarks.gpu_check.report import Report

DECODE_MS, OVER_GREEDY, OVER_EAGER = 1.0, 1.25, 12.0
PRECISION = "fp16"
_GREEDY, _BEAM = "batch 1 beam 1", "batch 1 beam 5"


def goals(report: Report) -> list[dict[str, Any]]:
    """Each goal, with what was found: on the backend whose search was fastest, in fp16, for one picture.

    ``met`` is None where something was not measured.
    """
    found = {backend: _search_ms(report, f"speed {backend} {PRECISION}", _BEAM) for backend in BACKENDS}
    measured = {backend: ms for backend, ms in found.items() if ms is not None}
    best = min(measured, key=lambda backend: measured[backend]) if measured else ""
    beam = measured.get(best)
    greedy = _search_ms(report, f"speed {best} {PRECISION}", _GREEDY)
    eager = _search_ms(report, f"peer eager {PRECISION}", _BEAM)
    device = str(report.to_dict()["device"])
    return [
        _goal(f"20 steps of 5 beams on an H100 (here: {device})", beam, DECODE_MS, "ms", best, most=True),
        _goal("5 beams over greedy", _over(beam, greedy), OVER_GREEDY, "times", best, most=True),
        _goal(
            "PyTorch's eager beam search over ours", _over(eager, beam), OVER_EAGER, "times", best, most=False
        ),
    ]


def _search_ms(report: Report, check: str, size: str) -> float | None:
    """The median time of all steps."""
    stages: Mapping[str, Any] = report.facts(check).get("times", {}).get(size, {})
    return stages["search"]["p50"] if stages else None


def _over(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None


def _goal(
    name: str, found: float | None, limit: float, unit: str, backend: str, *, most: bool
) -> dict[str, Any]:
    met = None if found is None else (found <= limit if most else found >= limit)
    wanted = f"{'at most' if most else 'at least'} {limit:g} {unit}"
    said = "not measured" if found is None else f"{found:.2f} {unit} with {backend} {PRECISION}"
    verdict = {None: "", True: ": met", False: ": not met"}[met]
    text = f"{name}: {wanted}; {said}{verdict}"
    return {"name": name, "wanted": wanted, "found": found, "met": met, "backend": backend, "text": text}
