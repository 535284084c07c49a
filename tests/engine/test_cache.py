"""The engine cache: what is loaded, what is built again, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cnnrnn.core.errors import CacheError
from cnnrnn.runtime.engine.cache import EngineCache, EngineKey, Present, default_folder
from cnnrnn.runtime.engine.cache_entry import BUILDER
from cnnrnn.runtime.engine.device import Device
from tests.engine.cache_worker import FakeBuilt, FakeReport, built, engine_of, key_of


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "cache")


def kept(cache: EngineCache, graph: str = "a", **changed: object) -> Path:
    """The file of an engine that is in the cache."""
    return cache.fetch(key_of(graph, **changed), lambda: built(graph)).path


def test_an_engine_is_built_once_and_then_loaded(cache):
    first = cache.fetch(key_of("a"), lambda: built("a"), pytest.fail)
    second = EngineCache(cache.folder).fetch(key_of("a"), pytest.fail, pytest.fail)
    assert (first.built, second.built) == (True, False)
    assert first.engine == second.engine == engine_of("a")
    assert first.report == second.report == {"name": "a"}
    assert sorted(os.listdir(cache.folder)) == sorted(["secret", f"{key_of('a').digest}.engine"])


@pytest.mark.parametrize(
    "changed",
    [
        {"graph": "0" * 64},
        {"library": "tensorrt-rtx"},
        {"library_version": "10.3.1"},
        {"architecture": "sm86"},
        {"cuda": "12.6"},
        {"driver": "540.4.0"},
        {"options": (("beams", 4), ("shapes", (("tokens", (1, 5)),)))},
    ],
)
def test_a_difference_in_any_part_of_the_key_is_another_engine(cache, changed):
    kept(cache)
    other = replace(key_of("a"), **changed)
    assert other.digest != key_of("a").digest
    assert cache.fetch(other, lambda: built("other")).built
    assert not cache.fetch(key_of("a"), pytest.fail).built


def test_a_keys_digest_stays_the_same_from_release_to_release():
    assert key_of("a").digest == "0da1e1502d025ddfd1dda13d216daa6febcecbd71a05d0fc737e2ae85022632a"
    assert EngineKey.from_dict(json.loads(json.dumps(key_of("a").to_dict()))) == key_of("a")


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def empty(path: Path) -> None:
    os.truncate(path, 0)


def alter(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def alter_header(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"sm87"', b'"sm86"'))


def link(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


def open_to_others(path: Path) -> None:
    path.chmod(0o666)


def raw(path: Path) -> None:
    path.write_bytes(engine_of("a"))


def other_version(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"engine 1\n", b"engine 2\n", 1))


SPOILED = {
    "truncated": (truncate, "damaged: it has 999 bytes of 1000"),
    "lengthened": (lengthen, "damaged: it has 1001 bytes of 1000"),
    "emptied": (empty, "not written by this cache"),
    "altered at its end": (lambda path: alter(path, -1), "damaged: its bytes are not"),
    "altered signature": (lambda path: alter(path, 30), "its signature is not"),
    "altered key": (alter_header, "its signature is not"),
    "a link": (link, "cannot be trusted"),
    "open to others": (open_to_others, "cannot be trusted"),
    "a bare engine": (raw, "not written by this cache"),
    "of another version": (other_version, "another version of cnnrnn"),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_spoiled_entry_is_built_again(cache, how, caplog):
    spoil, reason = SPOILED[how]
    path = kept(cache)
    spoil(path)
    (entry,) = cache.entries()
    assert reason in entry.stale
    again = cache.fetch(key_of("a"), lambda: built("a"))
    assert again.built
    assert reason in caplog.text
    assert not path.is_symlink()
    assert not cache.fetch(key_of("a"), pytest.fail).built
    assert [entry.stale for entry in cache.entries()] == [""]


def test_every_length_of_a_cut_entry_is_refused(cache):
    path = kept(cache)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        (entry,) = cache.entries()
        assert entry.stale, length


def test_an_entry_of_another_cache_is_never_loaded(cache, tmp_path):
    other = EngineCache(tmp_path / "other")
    path = kept(other)
    kept(cache, "b")
    shutil.copy(path, cache.folder / path.name)
    assert cache.fetch(key_of("a"), lambda: built("a")).built


def test_an_entry_under_another_name_is_never_loaded(cache):
    name = kept(cache).name
    path = kept(cache, "b")
    shutil.copy(cache.folder / name, path)
    assert [entry.stale for entry in cache.entries() if entry.path == path] == [
        "renamed: it holds the engine of another name"
    ]
    assert cache.fetch(key_of("b"), lambda: built("b")).engine == engine_of("b")


@pytest.mark.parametrize("how", ["lost", "open to others", "cut short"])
def test_without_its_secret_nothing_is_loaded(cache, how):
    kept(cache)
    secret = cache.folder / "secret"
    old = secret.read_bytes()
    if how == "lost":
        secret.unlink()
    elif how == "open to others":
        secret.chmod(0o644)
    else:
        os.truncate(secret, 31)
    assert cache.fetch(key_of("a"), lambda: built("a")).built
    assert secret.stat().st_mode & 0o777 == 0o600
    assert secret.read_bytes() != old
    assert not cache.fetch(key_of("a"), pytest.fail).built


def test_a_build_that_fails_leaves_the_cache_as_it_was(cache):
    def fails() -> FakeBuilt:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.fetch(key_of("a"), fails)
    assert os.listdir(cache.folder) == ["secret"]
    assert cache.fetch(key_of("a"), lambda: built("a"), pytest.fail).built


def test_the_folder_and_its_files_are_the_users_alone(cache):
    umask = os.umask(0)
    try:
        kept(cache)
    finally:
        os.umask(umask)
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in cache.folder.iterdir()} == {0o600}


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_that_others_can_write_is_refused(cache, mode):
    kept(cache)
    cache.folder.chmod(mode)
    for call in (cache.entries, cache.prune, lambda: cache.fetch(key_of("a"), pytest.fail)):
        with pytest.raises(CacheError, match=rf"mode {mode:04o}.*chmod go-w .*CNNRNN_CACHE"):
            call()


def test_a_folder_of_another_user_is_refused(cache, monkeypatch):
    kept(cache)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    for call in (cache.entries, cache.prune, lambda: cache.fetch(key_of("a"), pytest.fail)):
        with pytest.raises(CacheError, match=r"belongs to user .*, not to user .*CNNRNN_CACHE"):
            call()


@pytest.mark.parametrize("below", ["", "cache"])
def test_a_file_in_the_folders_place_is_refused(tmp_path, below):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CacheError, match="CNNRNN_CACHE"):
        EngineCache(tmp_path / "file" / below).fetch(key_of("a"), pytest.fail)


def test_a_folder_in_an_entrys_place_is_an_error_that_names_it(cache):
    path = kept(cache)
    path.unlink()
    path.mkdir()
    with pytest.raises(CacheError, match="Is a directory"):
        cache.fetch(key_of("a"), lambda: built("a"))


def test_prune_removes_what_is_stale_and_its_own(cache):
    good, old = kept(cache), kept(cache, library_version="10.3.1")
    truncate(spoiled := kept(cache, "b"))
    strangers = [
        cache.folder / name for name in ("from-elsewhere.engine", ".note.partial", ".x.lock", "a.txt")
    ]
    for path in strangers:
        path.write_bytes(b"x")
    listed = {entry.path: entry for entry in cache.entries()}
    assert listed[strangers[0]].stale == "not written by this cache"
    assert not listed[strangers[0]].ours
    assert len(listed) == 4
    present = Present({"tensorrt": "10.3.0"})
    removed = cache.prune(present)
    assert {entry.path for entry in removed} == {old, spoiled}
    assert {path.name for path in cache.folder.iterdir()} == {
        "secret",
        good.name,
        *(path.name for path in strangers),
    }
    assert cache.prune(present) == []


def test_an_absent_cache_is_empty_and_is_not_made(cache):
    assert cache.entries() == []
    assert cache.prune() == []
    assert cache.timing_cache("tensorrt", "10.3.0", "sm87") is None
    assert not cache.folder.exists()


DEVICE = Device("Orin", "8.7", "540.4.0", "12.6")


@pytest.mark.parametrize(
    ("changed", "present", "reason"),
    [
        ({}, Present({"tensorrt": "10.3.0"}), ""),
        ({}, Present({}), "built by TensorRT 10.3.0; no TensorRT is installed here"),
        ({}, Present({"tensorrt": "10.7.0"}), "built by TensorRT 10.3.0; 10.7.0 is installed"),
        ({"options": (("builder", BUILDER),)}, Present({"tensorrt": "10.3.0"}), ""),
        (
            {"options": (("builder", BUILDER + 1),)},
            Present({"tensorrt": "10.3.0"}),
            f"built by another version of cnnrnn (builder {BUILDER + 1}; here is {BUILDER})",
        ),
        ({"driver": "540.4.0"}, Present({"tensorrt": "10.3.0"}, DEVICE), ""),
        ({"driver": "540.4.0"}, Present({"tensorrt": "10.3.0"}), ""),
        (
            {"driver": "540.4.0", "architecture": "sm86"},
            Present({"tensorrt": "10.3.0"}, DEVICE),
            "GPU here is sm87",
        ),
        (
            {"driver": "540.3.0"},
            Present({"tensorrt": "10.3.0"}, DEVICE),
            "under driver 540.3.0; here is 540.4.0",
        ),
        (
            {"driver": "540.4.0", "cuda": "12.2"},
            Present({"tensorrt": "10.3.0"}, DEVICE),
            "CUDA 12.2; here is 12.6",
        ),
        ({"architecture": "sm86"}, Present({"tensorrt": "10.3.0"}, DEVICE), ""),
    ],
)
def test_why_an_entry_is_stale(cache, changed, present, reason):
    kept(cache, **changed)
    (entry,) = cache.entries(present)
    assert entry.stale == reason or (reason and reason in entry.stale)


def test_timing_caches_are_kept_and_proved_as_engines_are(cache):
    cache.store_timing_cache("tensorrt", "10.3.0", "sm87", b"measured")
    cache.store_timing_cache("tensorrt", "10.3.0", "sm87", b"measured again")
    assert cache.timing_cache("tensorrt", "10.3.0", "sm87") == b"measured again"
    assert cache.timing_cache("tensorrt", "10.3.0", "sm86") is None
    (entry,) = cache.entries(Present({"tensorrt": "10.7.0"}))
    assert entry.kind == "timing"
    assert "10.7.0 is installed" in entry.stale
    alter(entry.path, -1)
    assert cache.timing_cache("tensorrt", "10.3.0", "sm87") is None


def test_the_default_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("CNNRNN_CACHE", str(tmp_path))
    assert default_folder() == EngineCache().folder == tmp_path
    monkeypatch.delenv("CNNRNN_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert default_folder() == tmp_path / "x" / "cnnrnn"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_folder() == tmp_path / ".cache" / "cnnrnn"
    monkeypatch.setattr("sys.platform", "darwin")
    assert default_folder() == tmp_path / "Library" / "Caches" / "cnnrnn"


def test_the_builders_own_result_fits():
    """`Built` and `EngineReport` are what the cache takes."""
    from cnnrnn.runtime.engine.builder import Built
    from cnnrnn.runtime.engine.report import EngineReport

    assert {"engine", "report"} <= set(Built.__dataclass_fields__)
    assert callable(EngineReport.to_dict)
    assert FakeReport("x").to_dict() == {"name": "x"}
