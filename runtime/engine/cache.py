"""Built engines on disk: each is built once, written whole, and loaded only as it was written.

What proves an entry is said in `cnnrnn.runtime.engine.cache_entry`, whose the folder must be and how it is
locked in `cnnrnn.runtime.engine.cache_folder`, and what makes an entry stale in
`cnnrnn.runtime.engine.cache_stale`.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cnnrnn.runtime.engine.cache_entry import (
    DamagedError,
    EngineKey,
    Header,
    canonical,
    file_name,
    load,
    seal,
    verify,
)
from cnnrnn.runtime.engine.cache_folder import CacheFolder, default_folder
from cnnrnn.runtime.engine.cache_stale import Present, stale_reason

__all__ = ["CachedEngine", "EngineCache", "EngineKey", "Entry", "Present", "default_folder"]

ENGINE, TIMING = "engine", "timing"
LEFT = "left by a build that was killed"
# What is listed though it is not ours: files that look like engines.
_LISTED = re.compile(r".*\.(engine|timing|plan|trt)")
_OURS = re.compile(r"[0-9a-f]{64}\.(engine|timing)")
_PARTIAL = re.compile(r"\.(?P<owner>[0-9a-f]{64}\.(?P<kind>engine|timing)|secret)\.partial")

_log = logging.getLogger(__name__)


class Report(Protocol):
    """What a build says of itself."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        ...


class Built(Protocol):
    """What a build gives: `cnnrnn.runtime.engine.builder.Built`, or anything with these two."""

    @property
    def engine(self) -> bytes:
        """The serialised engine."""
        ...

    @property
    def report(self) -> Report:
        """What was built."""
        ...


@dataclass(frozen=True)
class CachedEngine:
    """An engine from the cache.

    Attributes:
        engine: TensorRT's bytes, verified.
        report: of its build, as JSON has it.
        path: the entry's file; not an engine that TensorRT reads, since the entry's header stands before it.
        built: whether this call built it.
    """

    engine: bytes
    report: dict[str, Any]
    path: Path
    built: bool


@dataclass(frozen=True)
class Entry:
    """One file of the cache.

    Attributes:
        path, bytes: where it is and how large.
        kind: ``"engine"``, ``"timing"`` (what TensorRT measured of layers) or ``"partial"`` (not yet whole).
        ours: whether its name is one that the cache gives; others are never removed.
        stale: why it will not be loaded here; empty where it will.
        about: the key's fields, or those of a timing cache; empty where it cannot be trusted.
        report: of the build.
        written: seconds since 1970; None where it cannot be trusted.
    """

    path: Path
    kind: str
    bytes: int
    ours: bool
    stale: str
    about: dict[str, Any]
    report: dict[str, Any]
    written: float | None


class EngineCache:
    """The folder of built engines. Any number of processes may use one at a time.

    Args:
        folder: `default_folder` by default. It is made when the first engine is written.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = CacheFolder(folder or default_folder())

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self._folder.path

    def fetch(
        self, key: EngineKey, build: Callable[[], Built], waiting: Callable[[], None] | None = None
    ) -> CachedEngine:
        """The engine of this key: from the cache where it has one, else built and kept there.

        Of several processes that want the same one, one builds it and the others wait. A cache that can only
        be read gives the engines that it has.

        Args:
            build: makes the engine; called at most once. What it raises comes out of this call, and the cache
                stays as it was.
            waiting: called once if another process is building this engine, before waiting for it.

        Raises:
            CacheError: the folder cannot be written, belongs to another user, or can be written by others:
                found out before ``build`` is called, but for a disk that fills with the engine.
        """
        name = file_name(ENGINE, key.to_dict())
        found = self._load(name)
        if found is None:
            secret = self._folder.make()
            with self._folder.lock(name, waiting):
                found = self._load(name)
                if found is None:
                    self._folder.sweep()
                    return self._build(name, key, build, secret)
        header, engine = found
        return CachedEngine(engine, header.report, self.folder / name, built=False)

    def load(self, key: EngineKey) -> CachedEngine | None:
        """The engine of this key as it was written, or None: without one, or where it is not to be trusted.

        Raises:
            CacheError: the folder belongs to another user, or can be written by others.
        """
        name = file_name(ENGINE, key.to_dict())
        found = self._load(name)
        return None if found is None else CachedEngine(found[1], found[0].report, self.folder / name, False)

    def timing_cache(self, library: str, version: str, architecture: str) -> bytes | None:
        """What an earlier build measured, for `cnnrnn.runtime.engine.builder.build_engine`; None without one.

        Raises:
            CacheError: the folder belongs to another user, or can be written by others.
        """
        found = self._load(file_name(TIMING, _timing(library, version, architecture)))
        return None if found is None else found[1]

    def store_timing_cache(self, library: str, version: str, architecture: str, data: bytes) -> None:
        """Keep what a build measured, in the place of what was kept before.

        Raises:
            CacheError: the folder cannot be written; what was kept before is there still.
        """
        about = _timing(library, version, architecture)
        name = file_name(TIMING, about)
        secret = self._folder.make()
        with self._folder.lock(name):
            self._folder.write(name, *seal(secret, TIMING, about, {}, data))

    def entries(self, present: Present | None = None) -> list[Entry]:
        """All that the cache has, by name; every byte of it is verified.

        Args:
            present: what engines are to run on here; by default, that is not looked at.

        Raises:
            CacheError: the folder cannot be read, belongs to another user, or can be written by others.
        """
        secret = self._folder.secret() if self._folder.exists() else None
        entries = []
        for name in self._folder.names():
            partial = _PARTIAL.fullmatch(name)
            try:
                if partial:
                    entries.append(self._partial(name, partial.group("owner")))
                elif _LISTED.fullmatch(name):
                    entries.append(self._entry(name, secret, present))
            except FileNotFoundError:
                continue  # removed while we looked
        return entries

    def prune(self, present: Present | None = None) -> list[Entry]:
        """Remove what will not be loaded here, and what killed builds left; give what was removed.

        A file whose name the cache did not give stays, and so does one that a living process is writing.

        Raises:
            CacheError: as `entries`, or the folder cannot be written.
        """
        removed = []
        for entry in self.entries(present):
            if entry.stale and entry.ours and entry.kind != "partial":
                with self._folder.try_lock(entry.path.name) as held:
                    if held and self._still_stale(entry, present):
                        self._folder.remove(entry.path.name)
                        removed.append(entry)
        partial = {entry.path.name: entry for entry in self.entries(present) if entry.kind == "partial"}
        removed += [partial[name] for name in self._folder.sweep() if name in partial]
        return removed

    def _load(self, name: str) -> tuple[Header, bytes] | None:
        if not self._folder.exists():
            return None
        try:
            return load(self._folder, name, self._folder.secret())
        except FileNotFoundError:
            return None
        except DamagedError as error:
            _log.warning("%s is not loaded: %s", self.folder / name, error)
            return None

    def _build(self, name: str, key: EngineKey, build: Callable[[], Built], secret: bytes) -> CachedEngine:
        built = build()
        # As it will be read: with lists where it had tuples.
        report = json.loads(canonical(built.report.to_dict()))
        self._folder.write(name, *seal(secret, ENGINE, key.to_dict(), report, built.engine))
        return CachedEngine(built.engine, report, self.folder / name, built=True)

    def _entry(self, name: str, secret: bytes | None, present: Present | None) -> Entry:
        path = self.folder / name
        size, ours = path.lstat().st_size, _OURS.fullmatch(name) is not None
        kind = path.suffix[1:]
        try:
            header = verify(self._folder, name, secret)
        except DamagedError as error:
            return Entry(path, kind, size, ours, str(error), {}, {}, None)
        stale = "" if present is None else stale_reason(header.about, present)
        return Entry(path, kind, size, ours, stale, header.about, header.report, header.written)

    def _partial(self, name: str, owner: str) -> Entry:
        path = self.folder / name
        stale = "" if self._folder.is_locked(owner) else LEFT
        return Entry(path, "partial", path.lstat().st_size, True, stale, {}, {}, None)

    def _still_stale(self, entry: Entry, present: Present | None) -> bool:
        try:
            return bool(self._entry(entry.path.name, self._folder.secret(), present).stale)
        except FileNotFoundError:
            return False


def _timing(library: str, version: str, architecture: str) -> dict[str, Any]:
    return {"library": library, "library_version": version, "architecture": architecture}
