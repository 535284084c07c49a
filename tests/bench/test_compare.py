"""Two reports: what is noise, what is a change, and what does not compare."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from cnnrnn.bench import compare
from cnnrnn.core.errors import OptionsError


def report(p50: float = 10.0, minimum: float = 9.0, spread: float = 0.02) -> dict[str, Any]:
    total = {"minimum_ms": minimum, "p50_ms": p50, "spread": spread}
    return {
        "bundle": {"name": "one", "sha256": "a" * 64},
        "machine": {"processor": "P", "physical_cores": 2},
        "settings": [{"setting": {"precision": "fp32", "batch": 1}, "stages": {"total": total}}],
        "noisy": [],
    }


@pytest.mark.parametrize(
    ("after", "verdict"),
    [
        (report(), "as before"),
        (report(p50=10.4, minimum=9.4), "as before"),
        (report(p50=11.0, minimum=9.9), "slower"),
        (report(p50=11.0, minimum=9.0), "as before"),  # the least is as it was: something came between
        (report(p50=11.0, minimum=9.9, spread=0.3), "as before"),  # such a spread hides it
        (report(p50=9.0, minimum=8.1), "faster"),
    ],
)
def test_a_change_is_more_than_noise(after: dict[str, Any], verdict: str) -> None:
    comparison = compare(report(), after)
    (row,) = comparison.rows
    assert row.verdict == verdict
    assert comparison.slower is (verdict == "slower")
    assert row.ratio == pytest.approx(after["settings"][0]["stages"]["total"]["p50_ms"] / 10)


def test_a_stage_alone_makes_no_answer_slower() -> None:
    before, after = report(), report()
    for content, taken in ((before, 1.0), (after, 2.0)):
        stage = {"minimum_ms": taken, "p50_ms": taken, "spread": 0.01}
        content["settings"][0]["stages"]["select"] = stage
    comparison = compare(before, after)
    assert {row.stage: row.verdict for row in comparison.rows} == {"total": "as before", "select": "slower"}
    assert not comparison.slower


def test_what_does_not_compare() -> None:
    other = report()
    other["bundle"] = {"name": "two", "sha256": "b" * 64}
    with pytest.raises(OptionsError, match="different bundles, one aaaaaaaaaaaa and two bbbbbbbbbbbb"):
        compare(report(), other)
    varied = report()
    varied["settings"][0]["setting"]["batch"] = 4
    with pytest.raises(OptionsError, match="no setting in common"):
        compare(report(), varied)


def test_noise_and_another_machine_are_told() -> None:
    after = copy.deepcopy(report())
    after["noisy"] = ["other processes had 40% of the processors"]
    after["machine"]["processor"] = "Q"
    assert compare(report(), after).notes == (
        "the second run is noisy: other processes had 40% of the processors",
        "the machines differ: processor is 'P', then 'Q'",
    )
