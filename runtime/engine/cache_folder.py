"""The folder of built engines: whose it is, its key, its locks, and writing to it all at once or not at all.

An engine is code: it is trusted only from a folder that is the user's own and that nobody else can write to.
Locks are the kernel's (``flock``), which frees them when their process ends, however it ends. A file is
written as ``.NAME.partial`` by the one that holds ``.NAME.lock``, so such a file whose lock is free is what a
killed process left.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from cnnrnn.core.errors import CacheError

VARIABLE = "CNNRNN_CACHE"
SECRET = "secret"
SECRET_BYTES = 32
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
OTHERS_READ = stat.S_IRGRP | stat.S_IROTH
_OURS = re.compile(r"\.(?P<owner>[0-9a-f]{64}\.(engine|timing)|secret)\.(partial|lock)")


def default_folder() -> Path:
    """The folder that ``CNNRNN_CACHE`` names, or ``cnnrnn`` in the platform's folder for caches."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named).expanduser()
    if sys.platform == "darwin":
        return Path("~/Library/Caches/cnnrnn").expanduser()
    # The XDG base directory specification; it says to ignore a relative path.
    base = os.environ.get("XDG_CACHE_HOME", "")
    return Path(base if os.path.isabs(base) else "~/.cache").expanduser() / "cnnrnn"


class CacheFolder:
    """A checked folder; it is made when something is first written.

    Args:
        path: of the folder, which need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self) -> bool:
        """Whether it is there.

        Raises:
            CacheError: it is there, but is no folder, belongs to another user or can be written by others.
        """
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise unusable(self.path, error) from error
        if not stat.S_ISDIR(found.st_mode):
            raise CacheError(f"{self.path} is no folder; let {VARIABLE} name one")
        if found.st_uid != os.geteuid():
            raise CacheError(
                f"the cache folder {self.path} belongs to {_user(found.st_uid)}, not to "
                f"{_user(os.geteuid())}; its engines are code, so nobody else's are run. Let {VARIABLE} name "
                "a folder of your own"
            )
        if found.st_mode & OTHERS_WRITE:
            raise CacheError(
                f"others than its owner can write to the cache folder {self.path} (mode "
                f"{stat.S_IMODE(found.st_mode):04o}), and its engines are code. Take that away "
                f"(chmod go-w {self.path}), or let {VARIABLE} name another folder"
            )
        return True

    def secret(self) -> bytes | None:
        """The key that signs what this cache writes; None without one that only its owner can read."""
        try:
            with self.open(SECRET) as file:
                if stat.S_IMODE(os.fstat(file).st_mode) & OTHERS_READ:
                    return None
                found = os.read(file, SECRET_BYTES + 1)
        except OSError:
            return None
        return found if len(found) == SECRET_BYTES else None

    def make(self) -> bytes:
        """Make the folder and its key where they are missing, and give the key.

        Raises:
            CacheError: as `exists` does, or it cannot be written.
        """
        if not self.exists():
            try:
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise unusable(self.path, error) from error
            self.exists()
        found = self.secret()
        if found is not None:
            return found
        with self.lock(SECRET):
            found = self.secret()
            if found is None:
                found = secrets.token_bytes(SECRET_BYTES)
                self.write(SECRET, found)
        return found

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[int]:
        """A descriptor to read a file of the folder.

        Raises:
            OSError: there is none, or it is a link, no plain file, of another user or writable by others.
        """
        # Without O_NONBLOCK a pipe of that name would wait for a writer.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(self.path / name, flags)
        try:
            found = os.fstat(descriptor)
            own = found.st_uid == os.geteuid() and not found.st_mode & OTHERS_WRITE
            if not stat.S_ISREG(found.st_mode) or not own:
                raise PermissionError(errno.EPERM, "not a file that only its owner, this user, can write")
            yield descriptor
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def lock(self, name: str, waiting: Callable[[], None] | None = None) -> Iterator[None]:
        """Hold the lock of a file of the folder; ``waiting`` is called once when another holds it.

        Raises:
            CacheError: the folder cannot be written, or has no locks.
        """
        descriptor = self._acquire(name, blocking=False)
        if descriptor is None:
            if waiting is not None:
                waiting()
            descriptor = self._acquire(name, blocking=True)
            assert descriptor is not None
        try:
            yield
        finally:
            self._release(name, descriptor)

    @contextlib.contextmanager
    def try_lock(self, name: str) -> Iterator[bool]:
        """As `lock`, but where another holds it, say False at once."""
        descriptor = self._acquire(name, blocking=False)
        try:
            yield descriptor is not None
        finally:
            if descriptor is not None:
                self._release(name, descriptor)

    def is_locked(self, name: str) -> bool:
        """Whether a living process holds the lock of a file; nothing is written to find out."""
        try:
            descriptor = os.open(self.path / lock_name(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return False

    def write(self, name: str, *parts: bytes) -> None:
        """Write a file, all of it or nothing; to be called with its lock held.

        Raises:
            CacheError: the disk is full or not writable; what was there is there still.
        """
        partial = self.path / partial_name(name)
        try:
            partial.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(partial, flags, 0o600)
            try:
                for part in parts:
                    _write_all(descriptor, part)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            partial.replace(self.path / name)
            self._sync()
        except BaseException as error:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise unusable(self.path, error) from error
            raise

    def sweep(self) -> list[str]:
        """Remove what killed processes left, and say which; what living ones are at work on stays.

        Raises:
            CacheError: the folder cannot be written.
        """
        removed = []
        for owner in sorted({match.group("owner") for match in map(_OURS.fullmatch, self.names()) if match}):
            # Letting go of a lock removes its file too.
            with self.try_lock(owner) as held:
                if held and self.remove(partial_name(owner)):
                    removed.append(partial_name(owner))
        return removed

    def names(self) -> list[str]:
        """The names of all that is in the folder, in order."""
        try:
            return sorted(os.listdir(self.path)) if self.exists() else []
        except OSError as error:
            raise unusable(self.path, error) from error

    def remove(self, name: str) -> bool:
        """Remove a file; False where it is gone already. To be called with its lock held."""
        try:
            os.unlink(self.path / name)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise unusable(self.path, error) from error
        return True

    def _acquire(self, name: str, *, blocking: bool) -> int | None:
        """A descriptor that holds the lock; None where another holds it and this does not wait."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            while True:
                descriptor = os.open(self.path / lock_name(name), flags, 0o600)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if blocking else fcntl.LOCK_NB))
                    if self._is_current(name, descriptor):
                        return descriptor
                except BaseException:
                    os.close(descriptor)
                    raise
                os.close(descriptor)
        except BlockingIOError:
            return None
        except OSError as error:
            raise unusable(self.path, error) from error

    def _is_current(self, name: str, descriptor: int) -> bool:
        """Whether the lock's file is still the one of that name: its last holder may have removed it."""
        try:
            named = os.stat(self.path / lock_name(name), follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(descriptor))

    def _release(self, name: str, descriptor: int) -> None:
        # While it is held: whoever opened the same file sees by its name that it is the lock no more.
        with contextlib.suppress(OSError):
            os.unlink(self.path / lock_name(name))
        os.close(descriptor)

    def _sync(self) -> None:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def partial_name(name: str) -> str:
    """Of the file that becomes ``name``."""
    return f".{name}.partial"


def lock_name(name: str) -> str:
    """Of the file whose lock is that of ``name``."""
    return f".{name}.lock"


def unusable(folder: Path, error: OSError) -> CacheError:
    """What the system refused, with what to do about it."""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        fix = (
            "Free some space (cnnrnn inspect --cache --prune removes what is of no use), or let "
            f"{VARIABLE} name a folder elsewhere"
        )
    else:
        fix = f"Let {VARIABLE} name a folder that you can write to"
    return CacheError(f"cannot use the cache folder {folder}: {reason}. Nothing was changed there. {fix}")


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _user(number: int) -> str:
    import pwd

    try:
        return f"user {pwd.getpwuid(number).pw_name!r}"
    except KeyError:
        return f"user {number}"
