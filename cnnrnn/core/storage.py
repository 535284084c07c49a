"""Writing files and folders so that a kill or a full disk leaves the old ones whole.

The new bytes go to a hidden sibling, are flushed to the disk, and take the old one's place in one rename.
A folder takes an existing folder's place by the kernel's exchange of two names where it has one (Linux),
and by two renames elsewhere. A process killed half-way leaves a hidden ``.NAME.*.partial`` sibling, which
the next write of the same name removes once it is an hour old.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from cnnrnn.core.errors import StorageError

_STALE_AFTER_S = 3600.0
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def write_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` to ``path``: afterwards the file holds either all of it, or what it held before.

    Raises:
        StorageError: the disk is full, the folder is missing or not writable; the old file is whole.
    """
    check_folder_of(path)
    target = Path(path)
    temporary: Path | None = None
    try:
        _remove_stale(target)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise _storage_error(target, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary sibling folder that takes the place of ``target`` when the block ends well.

    When the block raises, the temporary folder is removed and ``target`` is as it was. An existing folder
    at ``target`` is replaced as a whole: whether it may be is for the caller to decide before.

    Raises:
        StorageError: the disk is full or not writable, also when it is the block's own write that met it.
    """
    final = Path(target)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(final)
        temporary = Path(tempfile.mkdtemp(prefix=f".{final.name}.", suffix=".partial", dir=final.parent))
        temporary.chmod(0o777 & ~_umask())
    except OSError as error:
        raise _storage_error(final, error) from error
    try:
        yield temporary
        _sync_tree(temporary)
        _take_place(temporary, final)
        _sync_folder(final.parent)
    except OSError as error:
        raise _storage_error(final, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _take_place(new: Path, final: Path) -> None:
    """Put ``new`` at ``final``; an old folder ends up at ``new``, where the caller removes it."""
    if not final.exists():
        new.rename(final)
    elif not _exchange(new, final):
        aside = new.with_suffix(".old.partial")
        final.rename(aside)
        try:
            new.rename(final)
        except OSError:
            aside.rename(final)
            raise
        shutil.rmtree(aside, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step (Linux ``renameat2``); False where the system or its disk cannot."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    done = renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    return bool(done == 0)


def _sync_tree(folder: Path) -> None:
    for root, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(root, name), "rb+") as file:
                os.fsync(file.fileno())
        _sync_folder(Path(root))


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_stale(target: Path) -> None:
    """Remove what a killed writer of the same name left behind an hour ago or longer."""
    limit = time.time() - _STALE_AFTER_S
    for left in target.parent.glob(f".{_escape(target.name)}.*.partial"):
        with contextlib.suppress(OSError):
            if left.stat().st_mtime < limit:
                shutil.rmtree(left) if left.is_dir() else left.unlink()


def _escape(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def check_folder_of(path: str | os.PathLike[str]) -> None:
    """Refuse a file in a folder that does not exist; to be called before the expensive work.

    Raises:
        StorageError: naming the folder.
    """
    folder = Path(path).parent
    if not folder.is_dir():
        raise StorageError(
            f"cannot write {path}: there is no folder {folder}. Make it (mkdir -p {folder}) or give another "
            "place."
        )


def _storage_error(target: Path, error: OSError) -> StorageError:
    reason = error.strerror or str(error)
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    fix = "free some space or give another place" if full else "give another place"
    return StorageError(f"cannot write {target}: {reason}. Nothing was changed there; {fix}.")
