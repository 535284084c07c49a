"""``cnnrnn build``."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cnnrnn.cli import build_show, main
from cnnrnn.runtime.engine import build as building
from cnnrnn.runtime.engine import library as libraries
from cnnrnn.runtime.engine.cache import EngineCache
from tests.engine.rigs import bindings

RTX = ("--backend", "tensorrt-rtx", "--compute-capability", "8.6")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EngineCache:
    monkeypatch.setenv("CNNRNN_CACHE", str(tmp_path / "cache"))
    return EngineCache()


@pytest.fixture
def rtx() -> None:
    bindings.rtx_libraries()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.usefixtures("rtx")
def test_a_line_of_json_for_each_engine(colour_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["build", str(colour_bundle), *RTX, "--precision", "fp32", "--beams", "1,5", "--json"]
    assert main(arguments) == 0
    engines = lines(capsys)
    assert [(one["role"], one["images"], one["beams"]) for one in engines] == [
        ("encoder", 1, None),
        ("step", 1, 1),
        ("select", 1, 1),
        ("step", 1, 5),
        ("select", 1, 5),
    ]
    for one in engines:
        assert one["built"] is True
        assert one["architecture"] == "sm86"
        assert one["bytes"] > 0
        assert one["build_seconds"] > 0
        assert one["layers"] > 0
        assert one["kernels"] == len(one["engine_layers"])
        for tensor in one["inputs"] + one["outputs"]:
            assert set(tensor) == {"name", "dtype", "shape"}
        assert Path(one["path"]).stat().st_size > one["bytes"]
    assert main(arguments) == 0
    assert [one["built"] for one in lines(capsys)] == [False] * 5


@pytest.mark.usefixtures("rtx")
def test_for_people_it_is_a_table_and_what_was_fused(
    colour_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", str(colour_bundle), *RTX, "--batch", "1,4"]) == 0
    said = capsys.readouterr()
    assert re.search(r"^TensorRT-RTX 1\.[\d.]+, fp32, sm86$", said.out, re.MULTILINE)
    assert re.search(
        r"^fp32/step.onnx \(4 × 5\) +\d+\.\d\d +\d+\.\d +\d+ +\d+  built$", said.out, re.MULTILINE
    )
    assert "  inputs: tokens int32 (4, 5), parents int32 (4, 5), state_age float32 (4, 5, 1)" in said.out
    assert re.search(r"fused: \d+ ONNX nodes run as \d+ kernels", said.out)
    assert re.search(r"^6 engines, [\d.]+ MB, 6 built, [\d.]+ s$", said.out, re.MULTILINE)
    assert said.err.splitlines()[0] == "1/6 fp32/encoder.onnx (1): built"
    assert main(["build", str(colour_bundle), *RTX]) == 0
    assert "in the cache" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.usefixtures("rtx")
def test_the_shipped_bundle(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "emoji", *RTX, "--precision", "fp32", "--json"]) == 0
    encoder, step, select = lines(capsys)
    assert encoder["inputs"] == [{"name": "image", "dtype": "uint8", "shape": [1, 96, 96, 3]}]
    assert {tensor["name"] for tensor in step["outputs"]} >= {"logits", "alignment"}
    assert select["graph"] == "select/beam5.onnx"
    assert step["kernels"] < step["layers"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--beams", "6"], "--beams 6 is above the 5"),
        (["--beams", "1,0"], "--beams 0 is no size; give an integer from 1"),
        (["--batch", "17"], "--batch 17 is above 16"),
        (["--batch", "one"], "'one' is not an integer"),
        (["--precision", "int9"], "--precision int9 is not in bundle 'colours'; give one of fp32"),
        (["--compute-capability", "86"], "compute capability '86' is no version; write it as 8.6"),
        (["--compute-capability", "7.6"], "it knows 7.5, 8.0, 8.6"),
        (["--compute-capability", "7.5"], "build precision fp16 for it, or leave 7.5 out"),
        (["--workspace-mib", "0"], "--workspace-mib 0 is outside 1 to"),
        (["--optimization-level", "9"], "--optimization-level 9 is outside 0 to 5"),
        (["--optimization-level", "3"], "--optimization-level has no effect in TensorRT-RTX"),
        (["--hardware-compatible", "same"], "give several --compute-capability instead"),
        (["--version-compatible"], "--version-compatible is not in TensorRT-RTX"),
        (["--refit"], "refit needs a GPU"),
    ],
)
@pytest.mark.usefixtures("rtx")
def test_wrong_requests_are_exit_code_2(
    arguments: list[str],
    words: str,
    colour_bundle: Path,
    cache: EngineCache,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(building, "find_device", lambda: None)
    try:
        code = main(["build", str(colour_bundle), "--backend", "tensorrt-rtx", "--json", *arguments])
    except SystemExit as stopped:
        code = int(str(stopped.code))
    assert code == 2
    said = capsys.readouterr()
    assert words in said.err
    assert words in json.loads(said.out)["error"]
    assert not cache.folder.exists()


def test_no_library_is_exit_code_3(
    colour_bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        libraries, "MODULES", {"tensorrt": ("no_such_module",), "tensorrt-rtx": ("nor_this",)}
    )
    assert main(["build", str(colour_bundle)]) == 3
    said = capsys.readouterr().err
    assert "the driver shows none; take the backend tensorrt-rtx, which builds without one" in said
    assert "pip install 'cnnrnn[tensorrt-rtx]'" in said
    assert main(["build", str(colour_bundle), "--backend", "tensorrt-rtx"]) == 3
    assert "pip install 'cnnrnn[tensorrt-rtx]'" in capsys.readouterr().err


@pytest.mark.usefixtures("rtx")
def test_a_refused_build_is_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "emoji", *RTX, "--workspace-mib", "1", "--json"]) == 1
    (error,) = lines(capsys)
    assert error["kind"] == "EngineError"
    assert "A workspace of 1 MiB is too small" in error["error"]


@pytest.mark.usefixtures("rtx")
def test_a_cache_that_cannot_be_used_is_found_before_the_build(
    colour_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CNNRNN_CACHE", str(tmp_path / "file" / "cache"))
    assert main(["build", str(colour_bundle), *RTX]) == 1
    assert str(tmp_path / "file") in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("rtx")
def test_kills_at_random_moments_leave_nothing_half_written(
    cache: EngineCache, capsys: pytest.CaptureFixture[str]
) -> None:
    """From an empty folder on, so that some meet the making of the folder and of its secret."""
    started, chance = time.monotonic(), random.Random(7)
    assert started_build().wait(60) == 0
    usual = time.monotonic() - started
    made, met = set(), 0
    for kill in range(8):
        if kill < 4:
            shutil.rmtree(cache.folder)
        process = started_build()
        if kill < 4:
            while process.poll() is None and not cache.folder.exists():
                time.sleep(0.0002)
            time.sleep(0.0 if kill < 2 else chance.uniform(0.0, 0.5) * usual)
        else:
            time.sleep(chance.uniform(0.3, 1.0) * usual)
        process.kill()
        met += process.wait(60) == -signal.SIGKILL
        made.add(bool(list(cache.folder.glob("secret"))))
        for entry in cache.entries():
            assert entry.kind == "partial" or not entry.stale, entry
        for entry in cache.entries()[:1]:
            entry.path.unlink()  # so that the next one builds
    assert met >= 4, "too few met a process"
    assert made == {True, False}, "none met the folder without its secret"

    assert started_build().wait(60) == 0
    assert main(["inspect", "--cache", "--json"]) == 0
    found = lines(capsys)[0]["entries"]
    assert [(entry["kind"], entry["stale"]) for entry in found] == [("engine", None)] * 3
    names = {Path(entry["path"]).name for entry in found}
    assert {path.name for path in cache.folder.iterdir()} == {"secret", *names}


def started_build() -> subprocess.Popen[bytes]:
    """A build in a process of its own, which has this test's cache."""
    arguments = [sys.executable, "-m", "cnnrnn", "build", "emoji", *RTX]
    return subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.slow
@pytest.mark.usefixtures("rtx")
def test_ctrl_c_stops_it_cleanly(cache: EngineCache) -> None:
    beams = ",".join(map(str, range(1, 33)))
    process = subprocess.Popen(
        [sys.executable, "-m", "cnnrnn", "build", "emoji", *RTX, "--beams", beams, "--batch", "1,4"],
        env=os.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    first = process.stderr.readline()
    time.sleep(0.05)  # in the middle of the next build
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert first.startswith("1/"), first + errors
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert output == ""
    entries = cache.entries()
    assert 1 <= len(entries) < 130
    assert {entry.kind for entry in entries} == {"engine"}
    assert not any(entry.stale for entry in entries)


def test_the_bar_is_one_line_that_is_taken_away(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(build_show, "REDRAW_S", 0.0)
    with build_show.Bar(2) as bar:
        bar.begin(1, _Named("fp16/step.onnx (1 × 5)"))  # type: ignore[arg-type]
        bar.progress(0.5, "Tactic selection")
    drawn = capsys.readouterr().err.split("\r")
    assert "\n" not in "".join(drawn)
    assert drawn[1] == "█" * 15 + "░" * 15 + "  50% fp16/step.onnx (1 × 5): begins"
    assert drawn[2].strip() == "█" * 22 + "░" * 8 + "  75% fp16/step.onnx (1 × 5): Tactic selection"
    assert not drawn[-2].strip()
    assert not drawn[-1]


class _Named:
    def __init__(self, name: str) -> None:
        self.name = name
