"""The engine cache under several processes, kills and full disks."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cnnrnn.core.errors import CacheError
from cnnrnn.runtime.engine.cache import EngineCache
from cnnrnn.runtime.engine.cache_folder import CacheFolder
from tests.engine.cache_worker import built, engine_of, key_of

ROOT = Path(__file__).resolve().parents[2]
KILLS = 100
ENGINE_BYTES = 4_000_000
BUILD_S = 0.01
NOBODY = 65534


def worker(
    folder: Path, graph: str, size: int = 1000, seconds: float = 0.0, **how: Any
) -> subprocess.Popen[str]:
    arguments = [str(folder), graph, str(size), str(seconds)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.engine.cache_worker", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        **how,
    )


def finished(process: subprocess.Popen[str], timeout: float = 30) -> list[str]:
    output, _ = process.communicate(timeout=timeout)
    return output.splitlines()


def test_two_processes_build_once_and_the_second_waits(tmp_path):
    first = worker(tmp_path / "cache", "a", seconds=1.0)
    assert first.stdout is not None
    assert first.stdout.readline() == "building\n"
    second = worker(tmp_path / "cache", "a")
    other = worker(tmp_path / "cache", "b")
    assert finished(other) == ["building", "built good"], "another engine does not wait"
    assert first.poll() is None
    assert finished(second) == ["waiting", "loaded good"]
    assert finished(first) == ["built good"]


def test_many_at_once_build_once(tmp_path):
    outputs = [finished(process) for process in [worker(tmp_path / "cache", "a") for _ in range(12)]]
    assert sum("building" in lines for lines in outputs) == 1
    assert sorted(lines[-1] for lines in outputs) == ["built good"] + ["loaded good"] * 11
    assert len(EngineCache(tmp_path / "cache").entries()) == 1


def test_a_lock_is_held_by_one_at_a_time(tmp_path):
    """Though each holder removes the lock's file when it lets go, under those that wait for it."""
    folder, inside, together = CacheFolder(tmp_path), [], []

    def holder() -> None:
        for _ in range(60):
            with folder.lock("a"):
                inside.append(1)
                together.append(len(inside))
                time.sleep(0.0003)
                inside.pop()

    threads = [threading.Thread(target=holder) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == [1] * 360
    assert os.listdir(tmp_path) == []


def test_a_hundred_kills_at_random_moments(tmp_path):
    """Whatever a kill hits, the next process is not kept waiting, and what is loaded is whole."""
    folder, chance = tmp_path / "cache", random.Random(5)
    usual = time_of(folder)
    hit = {"before": 0, "building": 0, "writing": 0, "done": 0}
    for kill in range(KILLS):
        graph = f"graph {kill % 3}"
        process = worker(folder, graph, ENGINE_BYTES, BUILD_S)
        aim = "writing" if kill % 10 == 9 else "building" if kill % 2 else ""
        hit[kill_at_random(process, usual, chance, aim=aim, folder=folder)] += 1
        cache = EngineCache(folder)
        for entry in cache.entries():
            assert entry.kind == "partial" or not entry.stale, entry
        assert not any(is_held(folder, f"graph {number}") for number in range(3)), "left locked"
        again = cache.fetch(key_of(graph), lambda graph=graph: built(graph, ENGINE_BYTES), pytest.fail)
        assert again.engine == engine_of(graph, ENGINE_BYTES)
        again.path.unlink()  # so that the next process builds
    assert hit["building"] + hit["writing"] > KILLS // 5, f"too few met a build: {hit}"
    assert hit["writing"], f"none met an engine half-written: {hit}"
    EngineCache(folder).prune()
    assert os.listdir(folder) == ["secret"]


def kill_at_random(
    process: subprocess.Popen[str], usual: float, chance: random.Random, *, aim: str, folder: Path
) -> str:
    """Kill it somewhere in its life, or from its build or its writing on; say what it was doing."""
    assert process.stdout is not None
    said = process.stdout.readline() if aim else ""
    if aim == "writing":
        while process.poll() is None and not list(folder.glob(".*.partial")):
            time.sleep(0.0002)
    else:
        time.sleep(chance.uniform(0.8, 2.5) * BUILD_S if aim else chance.uniform(0.2, 1.0) * usual)
    process.send_signal(signal.SIGKILL)
    said += "".join(line + "\n" for line in finished(process))
    assert "BAD" not in said
    assert "error" not in said
    if list(folder.glob(".*.partial")):
        return "writing"
    return "done" if "good" in said else "building" if said else "before"


def is_held(folder: Path, graph: str) -> bool:
    return EngineCache(folder)._folder.is_locked(f"{key_of(graph).digest}.engine")


def time_of(folder: Path) -> float:
    """Seconds that a process takes when nobody kills it."""
    started = time.monotonic()
    assert finished(worker(folder, "graph 0", ENGINE_BYTES, BUILD_S)) == ["building", "built good"]
    next(folder.glob("*.engine")).unlink()
    return time.monotonic() - started


@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
def test_a_kill_at_each_step_of_writing(tmp_path, call):
    """The moments that a random kill seldom meets."""
    code = f"""
import os, pathlib, signal, sys
from cnnrnn.runtime.engine import cache_folder
from tests.engine.cache_worker import main, built, key_of
from cnnrnn.runtime.engine.cache import EngineCache
cache = EngineCache(pathlib.Path(sys.argv[1]))
cache._folder.make()
def killed(*arguments, **keywords):
    os.kill(os.getpid(), signal.SIGKILL)
def build():
    if {call!r} == "replace":
        pathlib.Path.replace = killed
    elif {call!r} == "write":
        real = os.write
        def half(descriptor, data):
            real(descriptor, data[: len(data) // 2])
            killed()
        os.write = half
    else:
        setattr(os, {call!r}, killed)
    return built("a", 100_000)
cache.fetch(key_of("a"), build)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "cache")], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    cache = EngineCache(tmp_path / "cache")
    assert [entry.kind for entry in cache.entries()] == ([] if call == "open" else ["partial"])
    assert all(entry.stale for entry in cache.entries())
    assert cache.fetch(key_of("b"), lambda: built("b"), pytest.fail).built, "any next writer cleans up"
    assert [entry.kind for entry in cache.entries()] == ["engine"]
    assert not list((tmp_path / "cache").glob(".*"))


def test_what_a_living_process_writes_is_not_pruned(tmp_path):
    process = worker(tmp_path / "cache", "a", seconds=1.0)
    assert process.stdout is not None
    process.stdout.readline()
    partial = tmp_path / "cache" / f".{key_of('a').digest}.engine.partial"
    partial.write_bytes(b"half")
    cache = EngineCache(tmp_path / "cache")
    (entry,) = cache.entries()
    assert (entry.kind, entry.stale) == ("partial", "")
    assert cache.prune() == []
    assert partial.exists()
    assert finished(process) == ["built good"]


def test_ctrl_c_while_waiting_and_while_building(tmp_path):
    first = worker(tmp_path / "cache", "a", seconds=30.0, stderr=subprocess.DEVNULL)
    assert first.stdout is not None
    first.stdout.readline()
    second = worker(tmp_path / "cache", "a", stderr=subprocess.DEVNULL)
    assert second.stdout is not None
    assert second.stdout.readline() == "waiting\n"
    second.send_signal(signal.SIGINT)
    assert second.wait(10) != 0
    first.send_signal(signal.SIGINT)
    assert first.wait(10) != 0
    assert os.listdir(tmp_path / "cache") == ["secret"]
    for process in (first, second):
        process.stdout.close()  # type: ignore[union-attr]


def limited() -> None:
    """The kernel refuses a file beyond this size half-way, as a full disk does."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def test_a_write_that_the_system_cuts_off(tmp_path):
    cache = EngineCache(tmp_path / "cache")
    cache.fetch(key_of("old"), lambda: built("old"))
    before = snapshot(cache.folder)
    _, error = finished(worker(cache.folder, "a", 1_000_000, preexec_fn=limited))
    assert "File too large" in error
    assert "Free some space (cnnrnn inspect --cache --prune" in error
    assert snapshot(cache.folder) == before


def test_a_disk_that_fills(tmp_path):
    with small_disk(tmp_path) as disk:
        cache = EngineCache(disk / "cache")
        cache.fetch(key_of("old"), lambda: built("old"))
        before = snapshot(cache.folder)
        with pytest.raises(
            CacheError, match=r"No space left on device.*Nothing was changed.*Free some space"
        ):
            cache.fetch(key_of("a"), lambda: built("a", 2_000_000))
        assert snapshot(cache.folder) == before
        assert not cache.fetch(key_of("old"), pytest.fail).built
        with pytest.raises(CacheError, match="No space left"):
            cache.store_timing_cache("tensorrt", "10.3.0", "sm87", bytes(2_000_000))
        assert snapshot(cache.folder) == before


@contextlib.contextmanager
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of a megabyte, where this user may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk; the write that the system cuts off is tested anyway")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Root may write anywhere: under root, go on as the user nobody."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_cache_that_can_only_be_read_gives_what_it_has():
    with tempfile.TemporaryDirectory() as name:
        cache = EngineCache(Path(name) / "cache")
        cache.fetch(key_of("a"), lambda: built("a"))
        if os.geteuid() == 0:
            for path in (Path(name), cache.folder, *cache.folder.iterdir()):
                os.chown(path, NOBODY, NOBODY)
        cache.folder.chmod(0o500)
        with as_nobody():
            assert not cache.fetch(key_of("a"), pytest.fail).built
            with pytest.raises(CacheError, match=r"Permission denied.*Let CNNRNN_CACHE name a folder"):
                cache.fetch(key_of("b"), pytest.fail)
            assert [entry.stale for entry in cache.entries()] == [""]
        cache.folder.chmod(0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder of another user")
def test_a_folder_that_really_belongs_to_another_user_is_refused():
    with tempfile.TemporaryDirectory() as name:
        cache = EngineCache(Path(name) / "cache")
        cache.fetch(key_of("a"), lambda: built("a"))
        for path in (Path(name), cache.folder):
            path.chmod(0o755)
        with as_nobody(), pytest.raises(CacheError, match=r"belongs to user 'root'"):
            cache.fetch(key_of("a"), pytest.fail)
