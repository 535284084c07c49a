"""``cnnrnn inspect --cache`` and ``--prune``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cnnrnn.cli import main
from cnnrnn.runtime.engine.cache import EngineCache, Present
from tests.engine.cache_worker import built, key_of


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EngineCache:
    """One good engine, one of an older TensorRT, one cut short, and an engine file from elsewhere."""
    monkeypatch.setenv("CNNRNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Present, "find", lambda names=(): Present({"tensorrt": "10.7.0"}))
    cache = EngineCache()
    cache.fetch(key_of("good", library_version="10.7.0"), lambda: built("good"))
    cache.fetch(key_of("old", library_version="10.3.0"), lambda: built("old"))
    cut = cache.fetch(key_of("cut", library_version="10.7.0"), lambda: built("cut")).path
    os.truncate(cut, cut.stat().st_size - 1)
    (cache.folder / "friend.engine").write_bytes(b"x" * 100)
    return cache


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["inspect", "--cache", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_cache_is_listed_with_sizes_and_reasons(
    cache: EngineCache, capsys: pytest.CaptureFixture[str]
) -> None:
    said = answer(capsys)
    assert said["folder"] == str(cache.folder)
    sizes = {path.name: path.stat().st_size for path in cache.folder.glob("*.engine")}
    assert {Path(entry["path"]).name: entry["bytes"] for entry in said["entries"]} == sizes
    assert said["bytes"] == sum(sizes.values())
    reasons = {entry["report"].get("name", entry["bytes"]): entry["stale"] for entry in said["entries"]}
    assert reasons.pop("good") is None
    assert reasons.pop("old") == "built by TensorRT 10.3.0; 10.7.0 is installed"
    assert reasons.pop(100) == "not written by this cache"
    assert [reason[:8] for reason in reasons.values()] == ["damaged:"]
    (good,) = [entry for entry in said["entries"] if entry["stale"] is None]
    assert good["about"]["options"]["beams"] == 5
    assert good["about"]["architecture"] == "sm87"
    assert "removed" not in said


def test_for_people_it_is_a_table(cache: EngineCache, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--cache"]) == 0
    text = capsys.readouterr().out
    assert "tensorrt 10.7.0, sm87" in text
    assert "good" in text
    assert "stale: built by TensorRT 10.3.0; 10.7.0 is installed" in text
    assert "friend.engine" in text
    assert f"{cache.folder}: 4 files" in text
    assert "3 stale" in text


def test_prune_removes_what_is_stale_and_the_caches_own(
    cache: EngineCache, capsys: pytest.CaptureFixture[str]
) -> None:
    said = answer(capsys, "--prune")
    assert len(said["removed"]) == 2
    assert said["removed_bytes"] == sum(entry["bytes"] for entry in said["removed"])
    assert len(list(cache.folder.glob("*.engine"))) == 2
    assert (cache.folder / "friend.engine").exists()
    assert not cache.fetch(key_of("good", library_version="10.7.0"), pytest.fail).built
    assert main(["inspect", "--cache", "--prune"]) == 0
    assert "0 removed" in capsys.readouterr().out


def test_an_empty_cache_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CNNRNN_CACHE", str(tmp_path / "none"))
    assert answer(capsys, "--prune")["entries"] == []
    assert not (tmp_path / "none").exists()


def test_a_cache_that_is_not_ours_is_exit_code_1(
    cache: EngineCache, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.folder.chmod(0o777)
    assert main(["inspect", "--cache", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["kind"] == "CacheError"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--cache"),
        (["--prune"], "give --cache too"),
        (["emoji", "--prune"], "give --cache too"),
        (["emoji", "--cache"], "either BUNDLE or --cache"),
    ],
)
def test_requests_that_contradict_are_exit_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", *arguments]) == 2
    assert said in capsys.readouterr().err
