"""WebDataset's tar shards (Aizman et al. 2019), listed in one pass and read where they lie.

Members whose names are the same up to the first dot of their last part are one sample: ``0001.jpg`` with
``0001.txt`` or ``0001.json``. Nothing is extracted. While a shard is listed only captions are read, each of
at most a mebibyte; of a picture its place is kept, and its bytes are read when it is needed.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnnrnn.core.errors import DataError
from cnnrnn.core.samples import PICTURE_SUFFIXES
from cnnrnn.data.readers.sample import Entry, ShardPicture

MAX_CAPTION_BYTES = 1024**2


@dataclass
class _Group:
    """The members of one key, as far as they were seen."""

    key: str
    picture: ShardPicture | None = None
    texts: dict[str, bytes] = field(default_factory=dict)


def shard_entries(shard: Path) -> Iterator[Entry]:
    """The samples of one shard; members without a picture, and WebDataset's own ``__*__``, are passed over.

    Raises:
        DataError: the shard is compressed, no tar, or cut short; a key has two pictures or comes twice; a
            caption is too large, not UTF-8, or JSON without one.
    """
    seen: set[str] = set()
    group: _Group | None = None
    for member, tar in _members(shard):
        key, ending = _split(member.name)
        if group is None or key != group.key:
            if key in seen:
                raise DataError(
                    f"{shard} has the key {key!r} twice; sort its members by name, one key a sample"
                )
            if group is not None and group.picture is not None:
                yield _entry(shard, group)
            group = _Group(key)
            seen.add(key)
        if f".{ending}" in PICTURE_SUFFIXES:
            if group.picture is not None:
                raise DataError(
                    f"{shard}: the key {key!r} has two pictures, {group.picture.name} and {member.name}; "
                    "keep one"
                )
            group.picture = ShardPicture(shard, member.name, member.offset_data, member.size)
        elif ending in ("txt", "json"):
            group.texts[ending] = _read(shard, tar, member)
    if group is not None and group.picture is not None:
        yield _entry(shard, group)


def _members(shard: Path) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    size = shard.stat().st_size
    try:
        with tarfile.open(shard, "r:") as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # tarfile keeps every header; a shard may have millions
                if member.offset_data + member.size > size:
                    raise DataError(f"{shard} ends within {member.name}: it is cut short; get it again")
                name = member.name.rpartition("/")[2]
                if member.isreg() and not (name.startswith("__") and name.endswith("__")):
                    yield member, tar
    except tarfile.ReadError as error:
        raise DataError(
            f"{shard} is not a tar file that can be read: {error}; a packed one has to be unpacked first, "
            "one that is cut short got again"
        ) from error


def _split(name: str) -> tuple[str, str]:
    """``a/b.c.jpg`` to the key ``a/b`` and the ending ``c.jpg``, as WebDataset does."""
    folder, slash, last = name.rpartition("/")
    stem, _, ending = last.partition(".")
    return folder + slash + stem, ending.lower()


def _read(shard: Path, tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.size > MAX_CAPTION_BYTES:
        raise DataError(
            f"{shard}: {member.name} has {member.size} bytes; a caption has at most {MAX_CAPTION_BYTES}"
        )
    stream = tar.extractfile(member)
    assert stream is not None, "only regular members are read"
    return stream.read()


def _entry(shard: Path, group: _Group) -> Entry:
    assert group.picture is not None
    where = f"{shard.name}: {group.key}"
    if "txt" in group.texts:
        return Entry(where, group.picture, (_text(shard, f"{group.key}.txt", group.texts["txt"]),))
    if "json" not in group.texts:
        return Entry(where, group.picture, ())
    name = f"{group.key}.json"
    try:
        content: Any = json.loads(_text(shard, name, group.texts["json"]))
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{shard}: {name} is not JSON: {error}") from error
    if isinstance(content, dict):
        content = content.get("caption", content.get("captions", []))
    return Entry(where, group.picture, tuple(content) if isinstance(content, list) else (content,))


def _text(shard: Path, name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{shard}: {name} is not UTF-8: byte {error.start} is 0x{data[error.start]:02x}"
        ) from error
