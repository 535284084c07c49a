"""Turns of settings over the same pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cnnrnn.bench import Plan, Setting, harness, measure, read_report, report, write_report
from cnnrnn.bench.report import SCHEMA, fingerprint
from cnnrnn.core.bundle import Bundle
from cnnrnn.core.errors import OptionsError
from cnnrnn.core.samples import sample_pictures

FIRST = Setting("fp32", threads=1, beams=2)


@pytest.fixture(scope="module")
def pictures() -> list[bytes]:
    return [path.read_bytes() for path in sample_pictures()[:3]]


def test_a_shipped_bundle(pictures: list[bytes], tmp_path: Path) -> None:
    bundle = Bundle.open("emoji")
    settings = (
        FIRST,
        Setting("fp32", threads=1, beams=2, batch=2),
        Setting("fp16", threads=1, beams=1, steps=6),
    )
    turns: list[int] = []
    bench = measure(bundle, pictures, Plan(settings, repetitions=4, warm_up=1), on_progress=turns.append)
    assert turns == [0, 1, 2, 3, 4]
    for timed in bench.timed:
        assert set(timed.stages_ms) == set(harness.STAGES)
        assert {len(times) for times in timed.stages_ms.values()} == {4}
        parts = [timed.stages_ms[stage] for stage in harness.STAGES[:-1]]
        for call, total in enumerate(timed.stages_ms["total"]):
            assert 0.5 * total < sum(part[call] for part in parts) <= total, "the stages are nearly all of it"
    first, batched, forced = bench.timed
    assert forced.steps == [6] * 4
    assert forced.floors_ms == {}, "its beams are not those that were counted"
    assert batched.floors_ms["encoder"] == pytest.approx(2 * first.floors_ms["encoder"])
    assert first.floors_ms["step"] > 0
    path = tmp_path / "report.json"
    write_report(path, report(bench, bundle))
    content = read_report(path)
    assert content["schema"] == SCHEMA
    assert content["bundle"]["sha256"] == fingerprint(bundle.manifest)
    assert [entry["setting"]["batch"] for entry in content["settings"]] == [1, 2, 1]
    stage = content["settings"][0]["stages"]["encoder"]
    assert stage["over_floor"] == pytest.approx(stage["p50_ms"] / stage["floor_ms"], rel=0.01)
    assert content["settings"][0]["stages"]["total"]["p99_ms"] is None
    assert str(tmp_path) not in path.read_text(), "a report names no folder of the machine"


def test_questions_are_asked(pictures: list[bytes]) -> None:
    bench = measure("vqa", pictures[:1], Plan((Setting("fp32", threads=1, beams=1),), repetitions=3))
    assert len(bench.timed[0].steps) == 3


class Told:
    """Stands in for a model, and writes down who was asked what."""

    def __init__(self, log: list[tuple[str, bytes]], name: str) -> None:
        self.log, self.name = log, name

    def __enter__(self) -> Told:
        return self

    def __exit__(self, *error: object) -> None:
        self.log.append(("closed", self.name.encode()))

    def __call__(self, batch: list[bytes], **options: Any) -> list[Any]:
        self.log.append((f"{self.name} {options['beams']}", b"".join(batch)))
        timings = {
            "decode": 1.0,
            "preprocess": 1.0,
            "encoder": 1.0,
            "step": 1.0,
            "select": 1.0,
            "backtrace": 1.0,
        }
        return [type("Answer", (), {"timings_ms": timings, "steps": 3})() for _ in batch]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes]]:
    told: list[tuple[str, bytes]] = []
    monkeypatch.setattr(
        harness, "load", lambda bundle, backend, precision, threads: Told(told, f"{precision}/{threads}")
    )
    monkeypatch.setattr(harness, "_count", lambda *given: None)
    monkeypatch.setattr(harness, "_add_floors", lambda *given: None)
    return told


def test_settings_take_turns_over_the_same_pictures(log: list[tuple[str, bytes]]) -> None:
    settings = (FIRST, Setting("fp32", threads=1, beams=3), Setting("fp32", threads=2, beams=2))
    measure("emoji", [b"a", b"b", b"c"], Plan(settings, repetitions=3, warm_up=1))
    calls = [entry for entry in log if entry[0] != "closed"]
    turns = [calls[start : start + 3] for start in range(0, len(calls), 3)]
    assert [turn[0][1] for turn in turns] == [b"c", b"a", b"b", b"c"]
    for turn in turns:
        assert [name for name, _ in turn] == ["fp32/1 2", "fp32/1 3", "fp32/2 2"]
        assert len({picture for _, picture in turn}) == 1
    assert sorted(name for mark, name in log if mark == "closed") == [b"fp32/1", b"fp32/2"], "two models"


def test_the_turns_end_in_time(log: list[tuple[str, bytes]]) -> None:
    bench = measure("emoji", [b"a"], Plan((FIRST,), repetitions=1_000_000, seconds=0.05))
    assert 3 <= len(bench.timed[0].steps) < 1_000_000


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"settings": ()}, "no setting to measure"),
        ({"settings": (FIRST, FIRST)}, "a setting is there twice"),
        ({"settings": (FIRST,), "repetitions": 2}, "repetitions=2; give 3 or more, 30 or more for a p99"),
        ({"settings": (FIRST,), "warm_up": 0}, "warm_up=0"),
        ({"settings": (Setting("fp32", batch=17),)}, "batch=17; give 1 to 16"),
    ],
)
def test_a_plan_is_checked_before_any_work(plan: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionsError, match=words):
        Plan(**plan)


def test_a_bench_needs_a_picture() -> None:
    with pytest.raises(OptionsError, match="no picture"):
        measure("emoji", [], Plan((FIRST,)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "schema None, and this version reads 'cnnrnn-bench/1'"),
        ('{"schema": "cnnrnn-bench/0"}', "measure anew"),
        (json.dumps({"schema": SCHEMA, "bundle": {}, "machine": {}}), "lacks 'settings'"),
    ],
)
def test_other_files_are_no_reports(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(OptionsError, match=words):
        read_report(tmp_path / "report.json")
    with pytest.raises(OptionsError, match="cannot read"):
        read_report(tmp_path / "none.json")
