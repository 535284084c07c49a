"""A full disk, a kill or an error while writing leaves the old file or folder whole."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
import time

import pytest

from cnnrnn.core import storage
from cnnrnn.core.errors import StorageError
from cnnrnn.core.storage import atomic_folder, write_atomic


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_file_is_written_and_replaced(tmp_path):
    path = tmp_path / "a.bin"
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["a.bin"]
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_missing_folder_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match=r"there is no folder .*none\. Make it \(mkdir -p .*none\)"):
        write_atomic(tmp_path / "none" / "a.bin", b"x")


def test_only_a_full_disk_asks_for_space(tmp_path, monkeypatch):
    def fails(number):
        def fsync(handle):
            raise OSError(number, os.strerror(number))

        return fsync

    for number, advised in ((errno.ENOSPC, True), (errno.EACCES, False)):
        monkeypatch.setattr(os, "fsync", fails(number))
        with pytest.raises(StorageError, match="another place") as caught:
            write_atomic(tmp_path / "a.bin", b"x")
        assert ("free some space" in str(caught.value)) == advised


def test_a_file_beyond_the_systems_limit_leaves_the_old_one(tmp_path):
    """RLIMIT_FSIZE makes the kernel itself refuse the write half-way, as a full disk does."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    done = run(
        """
        import resource, signal, sys
        from cnnrnn.core.errors import StorageError
        from cnnrnn.core.storage import atomic_folder, write_atomic
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        for attempt in ("file", "folder"):
            try:
                if attempt == "file":
                    write_atomic(sys.argv[1], bytes(1_000_000))
                else:
                    with atomic_folder(sys.argv[1] + ".folder") as folder:
                        (folder / "x").write_bytes(bytes(1_000_000))
            except StorageError as error:
                print(error)
        """,
        path,
    )
    assert done.stdout.count("File too large") == 2, done.stderr
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_kill_while_writing_leaves_the_old_one(tmp_path, kind):
    target = tmp_path / "target"
    if kind == "file":
        target.write_bytes(b"old")
    else:
        target.mkdir()
        (target / "x").write_bytes(b"old")
    done = run(
        """
        import os, signal, sys
        from pathlib import Path
        from cnnrnn.core import storage
        written = []
        def killed(handle):
            written.append(os.fstat(handle).st_size)
            os.kill(os.getpid(), signal.SIGKILL)
        os.fsync = killed
        if sys.argv[2] == "file":
            storage.write_atomic(sys.argv[1], b"new" * 1000)
        else:
            with storage.atomic_folder(sys.argv[1]) as folder:
                (folder / "x").write_bytes(b"new" * 1000)
        """,
        target,
        kind,
    )
    assert done.returncode == -9, done.stderr
    assert (target if kind == "file" else target / "x").read_bytes() == b"old"
    left = [name for name in os.listdir(tmp_path) if name != "target"]
    assert len(left) == 1
    assert left[0].startswith(".target.")
    assert left[0].endswith(".partial")


def test_what_a_killed_writer_left_is_removed_once_it_is_old(tmp_path):
    old, young, other = (tmp_path / name for name in (".a.1.partial", ".a.2.partial", ".b.1.partial"))
    for path in (old, young, other):
        path.mkdir()
    past = time.time() - 7200
    os.utime(old, (past, past))
    os.utime(other, (past, past))
    write_atomic(tmp_path / "a", b"x")
    assert sorted(os.listdir(tmp_path)) == [".a.2.partial", ".b.1.partial", "a"]


@pytest.mark.parametrize("exchange", [True, False])
def test_a_folder_is_replaced_as_a_whole(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(storage, "_exchange", lambda one, other: False)
    target = tmp_path / "deep" / "target"
    with atomic_folder(target) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "x").write_bytes(b"one")
    with atomic_folder(target) as folder:
        (folder / "y").write_bytes(b"two")
        assert (target / "sub" / "x").read_bytes() == b"one"
    assert os.listdir(target) == ["y"]
    assert os.listdir(target.parent) == ["target"]


def test_two_renames_that_fail_half_way_put_the_old_folder_back(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "_exchange", lambda one, other: False)
    target = tmp_path / "target"
    target.mkdir()
    (target / "x").write_bytes(b"old")
    real = storage.Path.rename

    def rename(self, to):
        if self.suffix == ".partial" and to == target and not self.name.endswith(".old.partial"):
            raise OSError(28, "No space left on device")
        return real(self, to)

    monkeypatch.setattr(storage.Path, "rename", rename)
    with pytest.raises(StorageError, match="No space left"), atomic_folder(target) as folder:
        (folder / "x").write_bytes(b"new")
    assert (target / "x").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["target"]


def test_an_error_in_the_block_removes_the_temporary_folder(tmp_path):
    def fail() -> None:
        with atomic_folder(tmp_path / "target") as folder:
            (folder / "x").write_bytes(b"new")
            raise KeyError("x")

    with pytest.raises(KeyError):
        fail()
    assert os.listdir(tmp_path) == []
