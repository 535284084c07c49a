"""The command that checks a GPU: over the stand-in driver, and with checks that end in every way."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu_check import place, run
from benchmarks.gpu_check.goals import goals
from benchmarks.gpu_check.notes import FailedError, Notes, Setting, SkippedError
from benchmarks.gpu_check.outcome import Check, Outcome, exit_code
from benchmarks.gpu_check.parity import Answer, compared
from benchmarks.gpu_check.plan import plan
from benchmarks.gpu_check.processes import run_check
from benchmarks.gpu_check.report import FILE, Report
from benchmarks.gpu_check.table import table
from benchmarks.gpu_check.trace import Between, Event, chrome_events, judge, nsys_events, of_the_steps
from tests.driver.build import missing

ROOT = Path(__file__).resolve().parents[2]
NOTHING = {"host_to_device_bytes": 0, "device_to_host_bytes": 0, "synchronizes": 0}
STATUSES = {"ok", "failed", "missing", "skipped", "not run"}


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    """Of a run whose checks are planted."""
    for name in ("out", "work"):
        (tmp_path / name).mkdir()
    return Setting(tmp_path / "out", tmp_path / "work", engines=tmp_path / "engines")


def planted(name: str, limit_s: float = 20.0, **more: Any) -> Check:
    return Check(name, "planted", f"tests.benchmarks.planted_checks:{name}", limit_s=limit_s, **more)


def kept(setting: Setting) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((setting.out / FILE).read_text())
    return found


def ended(process: int) -> bool:
    """Whether it runs no more, though nobody may have asked how it ended."""
    stat = Path(f"/proc/{process}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


# The whole command


@pytest.mark.slow
def test_without_a_gpu_it_runs_over_the_stand_in_driver(tmp_path: Path) -> None:
    if missing() or place.missing("cuda.core"):
        pytest.skip(missing() or place.missing("cuda.core"))
    command = [sys.executable, "-m", "benchmarks.gpu_check", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stdout + done.stderr
    found = json.loads((tmp_path / FILE).read_text())
    assert found["device"] == "stand-in"
    assert found["times_are_meaningless"] is True
    assert (found["pictures"], found["repetitions"]) == (run.FEW_PICTURES, run.FEW_REPETITIONS)
    assert (found["finished"], found["exit_code"]) == (True, 3)
    assert found["machine"]["python"]
    assert found["versions"]["cnnrnn"]
    assert "version" in found["driver"]
    assert found["seconds"] < found["budget_s"]
    assert list(found["loops"]) == ["while", "replay", "launch"]
    for loop in found["loops"].values():
        assert loop["status"] == "ok"
        assert loop["steps"] > 1
        assert {name: loop[name] for name in NOTHING} == NOTHING
    checks = {check["name"]: check for check in found["checks"]}
    for check in checks.values():
        assert set(check) == {
            "name", "group", "proves", "limit_s", "status", "seconds", "facts", "error", "tail"
        }  # fmt: skip
        assert check["status"] in STATUSES - {"failed", "not run"}, check
        assert check["proves"]
        assert (check["status"] == "ok") == (not check["error"])
    assert {check["group"] for check in checks.values()} >= {
        "devices", "provider", "engine", "parity", "loops", "trace", "pycuda", "frames", "questions",
        "sharing", "failures", "captioner", "speed", "peer",
    }  # fmt: skip
    assert [name for name in checks if name.startswith("trace")] == [f"trace {way}" for way in found["loops"]]
    assert checks["trace while"]["facts"]["copies"] == {"HtoD": 0, "DtoH": 0, "DtoD": 0, "copy": 0}
    assert checks["frames"]["status"] == checks["questions"]["status"] == "ok"
    assert all(checks["frames"]["facts"]["same"].values())
    assert checks["parity reference"]["facts"]["pictures"] == run.FEW_PICTURES
    assert checks["failures engine"]["facts"]["built_again"] == 3
    assert checks["speed tensorrt-rtx fp16"]["facts"]["times_are_meaningless"] is True
    assert checks["peer eager fp16"]["error"] == "over the stand-in driver nothing is timed"
    assert "the times of this run mean nothing" in done.stdout
    assert (tmp_path / run.TABLE).read_text().strip() in done.stdout


def test_without_the_folder_of_tests_it_says_so(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "stand_in_missing", lambda: "there is no folder tests here")
    monkeypatch.setattr(run, "DEVICES", planted("lacks"))
    assert run.run(setting) == 3
    found = kept(setting)
    assert found["device"] is None
    assert found["finished"] is True
    assert found["why"].endswith("Nor can the stand-in driver be used: there is no folder tests here")
    assert "there is no folder tests here" in capsys.readouterr().out


def test_where_asking_for_a_gpu_crashes_nothing_else_is_run(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "DEVICES", planted("crashes"))
    assert run.run(setting) == 1
    assert kept(setting)["why"].startswith("whether there is a GPU is not known: its process ended by signal")


# Checks that end otherwise


@pytest.mark.parametrize(
    ("name", "status", "error"),
    [
        ("good", "ok", ""),
        ("fails", "failed", "ValueError: what was wrong"),
        ("lacks", "missing", "nothing is not installed: pip install nothing"),
        ("lacks_a_package", "missing", "none is not installed. Install it with: pip install none"),
        ("says_nothing", "skipped", "there is nothing to see"),
        ("leaves", "failed", "its process ended by exit code 7 before it was done"),
        ("leaves_quietly", "failed", "its process ended without a word"),
    ],
)
def test_how_a_check_ends(name: str, status: str, error: str, setting: Setting) -> None:
    outcome = run_check(planted(name), setting)
    assert (outcome.status, outcome.error) == (status, error)
    if name == "fails":
        assert outcome.facts == {"before": 1}
        assert "what it printed" in outcome.tail
        assert "Traceback" in outcome.tail


def test_a_crash_a_hang_and_a_failure_lose_nothing(
    setting: Setting, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Report(setting.out, 60)
    checks = [
        planted("good", arguments={"number": 1}),
        planted("crashes"),
        planted("hangs", limit_s=3),
        planted("fails"),
        Check("last", "planted", "tests.benchmarks.planted_checks:good", {"number": 2}, 20),
    ]
    started = time.monotonic()
    run.run_checks(checks, setting, report, 60)
    assert time.monotonic() - started < 30
    found = {check["name"]: check for check in kept(setting)["checks"]}
    assert [check["status"] for check in found.values()] == ["ok", "failed", "failed", "failed", "ok"]
    assert found["crashes"]["facts"] == {"before": 1}
    assert found["crashes"]["error"].startswith("its process ended by signal 11 (Segmentation fault) before")
    assert found["hangs"]["error"] == "it ran over its limit of 3 s, before it was done"
    assert ended(found["hangs"]["facts"]["child"])
    assert found["last"]["facts"]["number"] == 2
    assert found["last"]["facts"]["good"] == ["good"]
    assert exit_code((outcome for _, outcome in report.checks), on_a_gpu=True) == 1
    assert "[3/5] hangs: failed" in capsys.readouterr().out


def test_what_no_time_is_left_for_says_so(setting: Setting) -> None:
    report = Report(setting.out, 1)
    run.run_checks(
        [planted("good"), planted("fails", missing="x is not installed: pip install x")], setting, report, 1
    )
    good, fails = kept(setting)["checks"]
    assert good["status"] == "skipped"
    assert good["error"] == "no time was left: all have 1 s together"
    assert (fails["status"], fails["error"]) == ("missing", "x is not installed: pip install x")


def test_a_run_that_is_killed_leaves_what_it_has(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from benchmarks.gpu_check import run; from benchmarks.gpu_check.notes import Setting\n"
        "from benchmarks.gpu_check.report import Report\n"
        "from tests.benchmarks.test_gpu_check import planted\n"
        "folder = Path(sys.argv[1])\n"
        "checks = [planted('good'), planted('hangs'), planted('fails')]\n"
        "run.run_checks(checks, Setting(folder, folder), Report(folder, 60), 60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    notes: list[Path] = []
    waited = time.monotonic() + 30
    while not notes and time.monotonic() < waited:
        time.sleep(0.05)
        notes = [path for path in tmp_path.glob("*/notes.json") if '"child"' in path.read_text()]
    child = json.loads(notes[0].read_text())["facts"]["child"]
    process.kill()
    process.communicate()
    checks = json.loads((tmp_path / FILE).read_text())["checks"]
    assert [check["status"] for check in checks] == ["ok", "not run", "not run"]
    assert not ended(child)  # whose parent, the check, was killed with the run
    os.kill(child, 9)


# What is told


def test_the_table() -> None:
    told = table(
        [
            (planted("good"), Outcome("ok", 1.25, {"summary": "it is " + "long " * 30})),
            (planted("lacks"), Outcome("missing", 0.0, {}, "x is not installed:\npip install x")),
        ]
    )
    lines = told.splitlines()
    assert lines[0] == "check  ended         s  what"
    assert lines[1].startswith("good   ok          1.2  it is long long")
    assert lines[2].startswith(" " * 24 + "long")
    assert "lacks  missing     0.0  x is not installed: pip install x" in lines
    assert lines[-1] == "1 ok, 1 missing"
    assert max(map(len, lines)) <= 110


def test_what_is_missing_comes_with_its_command(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        place, "_there", lambda module: module not in ("pycuda", "tensorrt", "tensorrt_bindings")
    )
    told = {check.name: check.missing for check in plan(setting)}
    assert told["provider pycuda"] == "pycuda is not installed: pip install 'cnnrnn[pycuda]'"
    assert told["engine tensorrt"].startswith("tensorrt is not installed: pip install 'cnnrnn[tensorrt]'")
    assert told["parity tensorrt fp16"] == told["engine tensorrt"]
    assert told["engine tensorrt-rtx"] == told["loops while"] == told["peer compiled fp16"] == ""
    monkeypatch.setattr(place, "_there", lambda module: False)
    told = {check.name: check.missing for check in plan(setting)}
    assert "cuda.core is not installed: pip install 'cnnrnn[cuda13]'" in told["loops while"]
    assert told["peer eager fp16"].startswith("torch is not installed: pip install 'cnnrnn[train]'")


def test_less_time_is_told_to_a_check_that_can_keep_to_it(setting: Setting) -> None:
    (check,) = [check for check in plan(setting) if check.name == "speed tensorrt-rtx fp16"]
    within = check.arguments["within_s"]
    assert check.within(1000.0) == check
    assert check.within(check.limit_s - 30).arguments["within_s"] == within - 30
    report = Report(setting.out, 1)
    run.run_checks([check], setting, report, check.least_s - 1)
    assert report.outcomes[check.name].error.startswith("no time was left")


def test_the_order_of_the_checks(setting: Setting) -> None:
    groups = list(dict.fromkeys(check.group for check in plan(setting)))
    assert groups == [
        "provider", "parity", "engine", "loops", "trace", "pycuda", "frames", "questions", "sharing",
        "failures", "captioner", "speed", "peer",
    ]  # fmt: skip
    names = [check.name for check in plan(setting, ["loops while", "provider pycuda"])]
    assert names == [
        "provider pycuda", "parity reference", "engine tensorrt-rtx", "engine tensorrt", "engine ort-cuda",
        "loops while",
    ]  # fmt: skip
    assert [check.name for check in plan(setting, ["peer eager fp16"])] == ["captioner", "peer eager fp16"]


def test_ties_are_counted_apart() -> None:
    class Found:
        def __init__(self, *tokens: int, score: float = -1.0) -> None:
            self.tokens, self.score, self.text = tokens, score, "found"

    wanted = Answer("wanted", (1, 2), -1.0, 2, {(1, 2): -1.0, (1, 3): -1.0001, (4,): -2.0})
    found: Any = [Found(1, 2, score=-1.5), Found(1, 3), Found(4), Found(5)]
    told = compared(found, [wanted] * 4, 1e-3)
    assert (told["same"], told["ties"], told["differ"]) == (1, 1, 2)
    assert [entry["gap"] for entry in told["different"]] == [1.0, None]
    assert told["largest_score_difference"] == 0.5


# A profiler's trace


def events(*names: str) -> list[Event]:
    """A copy is written ``>HtoD``."""
    return [Event(name, place, name[1:] if name[0] == ">" else "") for place, name in enumerate(names)]


STEP = ("step", "keep", "advance")


def test_the_part_of_a_trace_that_counts() -> None:
    found = of_the_steps(
        events(">HtoD", "widen", *STEP, "noise", ">HtoD", "widen", "widen", *STEP, *STEP, ">DtoH")
    )
    assert found is not None
    assert found.steps == 2
    assert [event.name for event in found.events] == [*STEP, *STEP]
    assert of_the_steps(events("widen", "whole loop", ">DtoH")) is None


def test_copies_between_steps_are_refused(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes.json")
    good = Between(2, events(*STEP, *STEP))
    judge(good, 2, notes)
    assert notes.facts["summary"] == "2 steps, 6 kernels, no copy among them"
    with pytest.raises(FailedError, match=r"1 copies .*\(1 HtoD\), some between host and device: >HtoD"):
        judge(Between(2, events(*STEP, ">HtoD", *STEP)), 2, notes)
    with pytest.raises(FailedError, match="on the device alone"):
        judge(Between(2, events(*STEP, ">DtoD", *STEP)), 2, notes)
    with pytest.raises(SkippedError, match="shows 0 of 2 steps"):
        judge(None, 2, notes)
    with pytest.raises(SkippedError, match="shows 2 of 3 steps"):
        judge(good, 3, notes)


def test_traces_of_both_profilers_are_read() -> None:
    chrome = {
        "traceEvents": [
            {"cat": "kernel", "name": "advance", "ts": 3, "dur": 1},
            {"cat": "gpu_memcpy", "name": "Memcpy DtoH (Device -> Pinned)", "ts": 4.5, "dur": 1},
            {"cat": "cpu_op", "name": "not the device's", "ts": 1},
            {"ph": "M", "name": "process_name"},
        ]
    }
    wanted = [Event("advance", 3.0), Event("Memcpy DtoH (Device -> Pinned)", 4.5, "DtoH")]
    assert chrome_events(chrome) == wanted
    csv = (
        "Processing [x.sqlite] with [cuda_gpu_trace.py]...\n\nStart (ns),Duration (ns),CorrId,Name\n"
        '30,10,1,"advance(int *, const int *)"\n45,10,2,[CUDA memcpy Device-to-Host]\n'
    )
    kernel, copy = nsys_events(csv)
    assert (kernel.start, kernel.copy, copy.copy) == (30.0, "", "DtoH")
    steps = of_the_steps([Event("widen(char *)", 1.0), kernel, copy])
    assert steps is not None
    assert steps.steps == 1


# The peers


@pytest.mark.slow
@pytest.mark.usefixtures("torchlib_read_once")
def test_torch_searches_as_the_bundle_does(tmp_path: Path, setting: Setting) -> None:
    """The captioner in small: its bundle, and the same weights in PyTorch, vectorised and as the tutorial."""
    for module in ("torch", "torchvision", "onnx", "onnxscript"):
        pytest.importorskip(module)
    from benchmarks.gpu_check import captioner, peers
    from benchmarks.gpu_check.torch_search import Size, TorchSearch, tutorial_search
    from cnnrnn.core.bundle import Bundle

    folder = tmp_path / "captioner"
    captioner.make(folder, captioner.SMALL)
    assert list(Bundle.open(folder / "bundle").manifest.precisions) == ["fp32", "fp16"]
    small = dataclasses.replace(setting, captioner=folder, repetitions=1, good=("captioner",))
    captioner.captioner(small, Notes(tmp_path / "made.json"))
    notes = Notes(tmp_path / "peer.json")
    peers.peer(small, notes, variant="eager", precision="fp32", within_s=60, device="cpu")
    assert notes.facts["as_cpu_fp32"] == f"{captioner.COMPARED} of {captioner.COMPARED}"
    assert list(notes.facts["times"]) == [
        f"batch {batch} beam {beams}" for batch in captioner.BATCHES for beams in (5, 1, 10)
    ]
    assert notes.facts["tutorial"]["search"]["p50"] > 0
    image, model = Bundle.open(folder / "bundle").manifest.image, captioner.read(folder)
    pictures = list(captioner.fitted(image, 3))
    several, _ = TorchSearch(
        model, image, Size(3, 5, captioner.STEPS, captioner.START, captioner.END)
    ).search(pictures)
    one = Size(1, 5, captioner.STEPS, captioner.START, captioner.END)
    assert [tutorial_search(model, image, one, picture)[0] for picture in pictures] == several
    assert len(several[0]) == captioner.STEPS


# Goals


def test_goals(tmp_path: Path) -> None:
    report = Report(tmp_path, 1)
    assert [goal["met"] for goal in goals(report)] == [None] * 3
    assert all("not measured" in goal["text"] for goal in goals(report))

    def times(beam_ms: float, greedy_ms: float) -> dict[str, Any]:
        sizes = {"batch 1 beam 5": beam_ms, "batch 1 beam 1": greedy_ms}
        return {"times": {size: {"search": {"p50": ms}} for size, ms in sizes.items()}}

    report.describe(device="NVIDIA H100")
    for name, facts in (
        ("speed tensorrt fp16", times(0.9, 0.6)),
        ("speed ort-cuda fp16", times(8.0, 8.0)),
        ("peer eager fp16", times(18.0, 17.0)),
    ):
        report.put(planted(name), Outcome("ok", 1.0, facts))
    decode, over_greedy, over_eager = goals(report)
    assert [goal["met"] for goal in (decode, over_greedy, over_eager)] == [True, False, True]
    assert decode["backend"] == "tensorrt"
    assert over_greedy["found"] == pytest.approx(1.5)
    assert over_eager["text"].endswith("at least 12 times; 20.00 times with tensorrt fp16: met")
