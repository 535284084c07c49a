"""The list of built engines for ``cnnrnn inspect --cache``."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from cnnrnn.cli.output import print_json, print_line, table
from cnnrnn.runtime.engine.cache import EngineCache, Entry, Present
from cnnrnn.runtime.engine.library import NAMES

_GRAPH_DIGITS = 12
_SECONDS = (("days", 86400), ("hours", 3600), ("minutes", 60), ("seconds", 1))


def run(*, prune: bool, as_json: bool) -> int:
    """List what is in the cache; with ``prune``, first remove what will not be loaded on this machine.

    Raises:
        CacheError: the folder cannot be read, or is not the user's own; or, to prune, not written.
    """
    cache = EngineCache()
    # A library is imported only when the cache has something of it: that may take seconds.
    used = {str(entry.about.get("library")) for entry in cache.entries()}
    present = Present.find(name for name in NAMES if name in used)
    removed = cache.prune(present) if prune else []
    entries = cache.entries(present)
    if as_json:
        answer: dict[str, Any] = {
            "folder": str(cache.folder),
            "bytes": _bytes(entries),
            "stale_bytes": _bytes([entry for entry in entries if entry.stale]),
            "entries": [_fields(entry) for entry in entries],
        }
        if prune:
            answer |= {"removed": [_fields(entry) for entry in removed], "removed_bytes": _bytes(removed)}
        print_json(answer)
        return 0
    _print("removed", removed)
    _print("", entries)
    print_line(_summary(cache, entries, removed, prune=prune))
    return 0


def _print(title: str, entries: list[Entry]) -> None:
    if not entries:
        return
    if title:
        print_line(f"{title}:")
    rows = [_row(entry) for entry in entries]
    for line in table([("file", "kind", "graph", "MB", "for", "age", "state"), *rows], right=frozenset({3})):
        print_line(line)
    print_line()


def _row(entry: Entry) -> tuple[str, ...]:
    about = entry.about
    name = entry.path.name
    short = f"{name[:_GRAPH_DIGITS]}…" if entry.ours and entry.kind != "partial" else name
    made_for = (
        f"{about['library']} {about['library_version']}, {about['architecture'] or 'any GPU'}"
        if about
        else "?"
    )
    state = f"stale: {entry.stale}" if entry.stale else "being written" if entry.written is None else "good"
    graph = str(entry.report.get("name", "?")) if entry.kind == "engine" else ""
    return (short, entry.kind, graph, f"{entry.bytes / 1e6:.2f}", made_for, _age(entry.written), state)


def _age(written: float | None) -> str:
    if written is None:
        return "?"
    passed = max(time.time() - written, 0.0)
    for unit, seconds in _SECONDS:
        if passed >= 2 * seconds:
            return f"{passed / seconds:.0f} {unit}"
    return "now"


def _summary(cache: EngineCache, entries: list[Entry], removed: list[Entry], *, prune: bool) -> str:
    stale = [entry for entry in entries if entry.stale]
    files = "1 file" if len(entries) == 1 else f"{len(entries)} files"
    text = f"{cache.folder}: {files}, {_bytes(entries) / 1e6:.2f} MB"
    if prune:
        text += f"; {len(removed)} removed, {_bytes(removed) / 1e6:.2f} MB"
    if stale:
        kept = "not the cache's own, or in use" if prune else "--prune removes what is the cache's own"
        text += f"; {len(stale)} stale, {_bytes(stale) / 1e6:.2f} MB ({kept})"
    return text


def _bytes(entries: list[Entry]) -> int:
    return sum(entry.bytes for entry in entries)


def _fields(entry: Entry) -> dict[str, Any]:
    fields = dataclasses.asdict(entry)
    fields["path"] = str(entry.path)
    fields["stale"] = entry.stale or None
    if "options" in entry.about:
        fields["about"]["options"] = dict(entry.about["options"])
    return fields
