"""The report's JSON: what was measured, of what, where. `docs/benchmarks.md` says what each name means."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from cnnrnn.bench.camera import Camera
from cnnrnn.bench.harness import Bench
from cnnrnn.bench.surroundings import surroundings
from cnnrnn.core.bundle import Bundle
from cnnrnn.core.errors import OptionsError
from cnnrnn.core.manifest import Manifest
from cnnrnn.core.storage import write_atomic

SCHEMA = "cnnrnn-bench/1"
_PARTS = ("schema", "bundle", "machine", "settings")


def report(bench: Bench, bundle: Bundle, camera: Camera | None = None) -> dict[str, Any]:
    """The whole report."""
    manifest = bundle.manifest
    return {
        "schema": SCHEMA,
        "bundle": {
            "name": manifest.name,
            "sha256": fingerprint(manifest),
            "task": manifest.task,
            "picture": [manifest.image.height, manifest.image.width],
            "vocabulary": manifest.vocabulary.size,
        },
        "machine": surroundings(),
        **bench.to_dict(),
        "camera": None if camera is None else camera.to_dict(),
    }


def fingerprint(manifest: Manifest) -> str:
    """SHA-256 of what a bundle's files are, whatever else its manifest says of them."""
    files = {name: record.sha256 for name, record in sorted(manifest.files.items())}
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()


def write_report(path: Path, content: dict[str, Any]) -> None:
    """Write the report in one piece.

    Raises:
        StorageError: the file cannot be written; what stood there stands there still.
    """
    write_atomic(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def read_report(path: Path) -> dict[str, Any]:
    """What `write_report` wrote.

    Raises:
        OptionsError: it cannot be read, or is no report of this schema.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionsError(f"cannot read {path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise OptionsError(
            f"{path} is not JSON: {error}; give a file that cnnrnn bench --json wrote"
        ) from error
    found = content.get("schema") if isinstance(content, dict) else None
    if found != SCHEMA:
        raise OptionsError(
            f"{path} has the schema {found!r}, and this version reads {SCHEMA!r}; measure anew with "
            "cnnrnn bench --json"
        )
    if missing := [part for part in _PARTS if part not in content]:
        raise OptionsError(f"{path} lacks {missing[0]!r}; measure anew with cnnrnn bench --json")
    return dict(content)
