"""Reports of studies, as R2Gen lays out IU X-Ray and MIMIC-CXR (Chen et al. 2020): ``annotation.json``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cnnrnn.core.errors import DataError
from cnnrnn.data.readers.sample import Entry

SPLITS = ("train", "val", "test")
FOLDER = "images"


def is_studies(content: Any) -> bool:
    """Whether a JSON document is an ``annotation.json``: splits, whose entries have image_path and report."""
    if not isinstance(content, dict) or not content or not set(content) <= set(SPLITS):
        return False
    entries = [entry for split in content.values() if isinstance(split, list) for entry in split[:1]]
    return any(isinstance(entry, dict) and {"image_path", "report"} <= set(entry) for entry in entries)


def study_entries(file: Path, content: Any) -> Iterator[Entry]:
    """``{"train": [{"id": "a", "report": "...", "image_path": ["a/0.png", "a/1.png"]}], "val": ..., ...}``.

    A study of several views is one picture. Pictures are in the folder ``images`` beside the file, or in the
    file's own.
    """
    seen: dict[Any, str] = {}
    for split, studies in content.items():
        if not isinstance(studies, list):
            raise DataError(f"{file}: {split} is no list; it holds the studies of a split")
        for number, study in enumerate(studies):
            where = f"{split}[{number}]"
            try:
                identity, report, paths = study["id"], study["report"], study["image_path"]
            except (KeyError, TypeError) as error:
                raise DataError(f"{file}: {where} is no study of R2Gen's: it lacks {error}") from error
            if seen.setdefault(identity, where) != where:
                raise DataError(f"{file}: {where} has the id {identity!r}, which {seen[identity]} has too")
            names = _names(file, where, paths)
            yield Entry(where, names[:1], (report,), split, views=names if len(names) > 1 else ())


def _names(file: Path, where: str, paths: object) -> tuple[str, ...]:
    if not isinstance(paths, list) or not paths or not all(isinstance(path, str) and path for path in paths):
        raise DataError(f"{file}: {where}: image_path is {paths!r}; a list of file names is needed")
    if len(set(paths)) != len(paths):
        raise DataError(f"{file}: {where}: image_path has {paths[0]!r} twice; a view is there once")
    return tuple(paths)
