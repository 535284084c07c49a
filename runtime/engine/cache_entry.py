"""One file of the cache: a signed line that says what is in it, and the engine's bytes.

| bytes | what |
|---|---|
| ``cnnrnn engine 1\\n`` | the format |
| 64 hexadecimal digits, ``\\n`` | HMAC-SHA256 of the next line with the cache's own secret |
| one line of JSON | the key, the report, the engine's size and SHA-256, when it was written |
| the rest | the engine |

One file, so that one rename makes all of it visible and one read sees all of it. The signature is what makes
an entry this cache's own: a file from another cache has none that fits, whatever its name and hashes.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from cnnrnn.runtime.engine.cache_folder import CacheFolder

# Part of every key: raised when the builder makes another engine of the same graph and options.
BUILDER = 1
MAGIC = b"cnnrnn engine 1\n"
FAMILY = b"cnnrnn engine "
HEADER_LIMIT_BYTES = 16 * 1024**2
_SIGNATURE_DIGITS = 64
_CHUNK_BYTES = 1024**2


class DamagedError(Exception):
    """An entry that must not be loaded; the message is the reason, for a person."""


@dataclass(frozen=True)
class EngineKey:
    """All that an engine depends on: a difference in any of it is another engine.

    Attributes:
        graph: SHA-256 of the ONNX bytes with their weights inside, in hexadecimal.
        library: ``"tensorrt"`` or ``"tensorrt-rtx"``.
        library_version: as the module says it, ``"10.3.0"``.
        architecture: ``"sm86"``, or ``"sm75+sm86"`` for several.
        cuda: the CUDA version, ``"13.0"``, or nothing.
        driver: the driver's version; nothing where the engine is built ahead of time, for any driver.
        options: name and value of every build option and shape, sorted; values as JSON has them.
    """

    graph: str
    library: str
    library_version: str
    architecture: str
    cuda: str = ""
    driver: str = ""
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of the key's canonical JSON, in hexadecimal: the entry's name."""
        return hashlib.sha256(canonical(self.to_dict())).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it, with the options as pairs."""
        return {**self.__dict__, "options": [list(pair) for pair in self.options]}

    @staticmethod
    def from_dict(fields: dict[str, Any]) -> EngineKey:
        """The inverse of `to_dict`, with tuples where JSON has lists."""
        return EngineKey(**{**fields, "options": _tuples(fields["options"])})


@dataclass(frozen=True)
class Header:
    """What an entry says of itself: ``about`` is its key by its fields' names, ``report`` the build's."""

    kind: str
    about: dict[str, Any]
    report: dict[str, Any]
    bytes: int
    sha256: str
    written: float


def canonical(value: object) -> bytes:
    """JSON in one line without spaces, keys sorted: the same bytes for the same value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def file_name(kind: str, about: dict[str, Any]) -> str:
    """The entry's name: the SHA-256 of what it is about, and its kind."""
    return f"{hashlib.sha256(canonical(about)).hexdigest()}.{kind}"


def seal(
    secret: bytes, kind: str, about: dict[str, Any], report: dict[str, Any], data: bytes
) -> tuple[bytes, bytes]:
    """An entry's bytes, in two parts: what stands before the data, and the data."""
    header = Header(kind, about, report, len(data), hashlib.sha256(data).hexdigest(), round(time.time(), 3))
    line = canonical(header.__dict__) + b"\n"
    return MAGIC + _sign(secret, line) + b"\n" + line, data


def load(folder: CacheFolder, name: str, secret: bytes | None) -> tuple[Header, bytes]:
    """Read and verify an entry.

    Raises:
        FileNotFoundError: there is none of that name.
        DamagedError: it was not written by this cache, or is not whole.
    """
    with _opened(folder, name, secret) as (file, header):
        data = file.read()
    _compare(header, len(data), hashlib.sha256(data).hexdigest())
    return header, data


def verify(folder: CacheFolder, name: str, secret: bytes | None) -> Header:
    """As `load`, without the data in memory."""
    digest, size = hashlib.sha256(), 0
    with _opened(folder, name, secret) as (file, header):
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    _compare(header, size, digest.hexdigest())
    return header


@contextlib.contextmanager
def _opened(folder: CacheFolder, name: str, secret: bytes | None) -> Iterator[tuple[BinaryIO, Header]]:
    """An entry's file behind its verified header."""
    try:
        with folder.open(name) as descriptor, os.fdopen(os.dup(descriptor), "rb") as file:
            yield file, _header(file, name, secret)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedError(f"cannot be trusted: {error.strerror}") from error


def _header(file: BinaryIO, name: str, secret: bytes | None) -> Header:
    magic = file.readline(len(MAGIC))
    if magic != MAGIC:
        other = magic.startswith(FAMILY) and len(magic) == len(MAGIC)
        raise DamagedError("written by another version of cnnrnn" if other else "not written by this cache")
    signature = file.readline(_SIGNATURE_DIGITS + 1)
    line = file.readline(HEADER_LIMIT_BYTES)
    if secret is None or not hmac.compare_digest(signature, _sign(secret, line) + b"\n"):
        raise DamagedError("altered, cut short, or from another cache: its signature is not this cache's")
    header = Header(**json.loads(line))
    if name != file_name(header.kind, header.about):
        raise DamagedError("renamed: it holds the engine of another name")
    return header


def _compare(header: Header, size: int, sha256: str) -> None:
    if size != header.bytes:
        raise DamagedError(f"damaged: it has {size} bytes of {header.bytes}")
    if sha256 != header.sha256:
        raise DamagedError("damaged: its bytes are not those that were written")


def _sign(secret: bytes, line: bytes) -> bytes:
    return hmac.new(secret, line, hashlib.sha256).hexdigest().encode("ascii")


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
