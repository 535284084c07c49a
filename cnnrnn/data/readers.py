"""Caption files: a folder with ``captions.json``, a CSV table, or COCO's captions JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnrnn.core.errors import DataError


@dataclass(frozen=True)
class Sample:
    """A picture and what people wrote about it; ``captions`` is never empty."""

    image: Path
    captions: tuple[str, ...]


def read_captions(source: str | Path, images: Sequence[str | Path] = ()) -> list[Sample]:
    """Reads one caption file.

    Args:
        source: a folder that holds ``captions.json`` (file name to a caption or a list of them), a ``.csv``
            with the columns ``image`` and ``caption`` (a picture may have several rows), or COCO's
            ``captions_*.json`` (Lin et al. 2014).
        images: the folders that a file's pictures are looked for in, the first that has one counting; without
            any, the file's own. COCO keeps its pictures apart from ``annotations``. A source that is a folder
            holds its pictures itself.

    Returns:
        The samples in the file's order, every picture once.

    Raises:
        DataError: the file or a folder is missing, the file is malformed, a picture it names is missing or a
            caption is empty.
    """
    source = Path(source)
    file = source / "captions.json" if source.is_dir() else source
    if not file.is_file():
        raise DataError(
            f"{file} does not exist; give a folder with captions.json, a .csv or a COCO captions .json"
        )
    folders = [Path(folder) for folder in images] if images and not source.is_dir() else [file.parent]
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"there is no folder {folder} to look for the pictures of {file} in; mend images")
    pairs = _csv(file) if file.suffix.lower() == ".csv" else _json(file)
    return _samples(file, folders, pairs)


def _csv(file: Path) -> Iterable[tuple[str, str]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            if missing := {"image", "caption"} - set(rows.fieldnames or ()):
                raise DataError(
                    f"{file} has no column {sorted(missing)[0]!r}; its first line must name image and caption"
                )
            for row in rows:
                yield row["image"] or "", row["caption"] or ""
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file} is not UTF-8: it has the byte 0x{error.object[error.start]:02x}; save it as UTF-8, of "
            f"Latin-1 for example with: iconv -f latin1 -t utf-8"
        ) from error
    except csv.Error as error:
        raise DataError(f"{file} is not CSV: {error}; quote what holds a comma or a line's end") from error


def _json(file: Path) -> Iterable[tuple[str, str]]:
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{file} is not JSON: {error}") from error
    if isinstance(content, dict) and "annotations" in content and "images" in content:
        yield from _coco(file, content)
    elif isinstance(content, dict):
        for name, captions in content.items():
            for caption in captions if isinstance(captions, list) else [captions]:
                yield name, caption
    else:
        raise DataError(
            f"{file} must hold an object: file names to captions, or COCO's images and annotations"
        )


def _coco(file: Path, content: dict[str, Any]) -> Iterable[tuple[str, str]]:
    try:
        names = {image["id"]: image["file_name"] for image in content["images"]}
        for name in names.values():
            if not isinstance(name, str):
                raise DataError(f"{file}: the file_name {name!r} is not text; put it in quotes")
        for annotation in content["annotations"]:
            yield names[annotation["image_id"]], annotation["caption"]
    except (KeyError, TypeError) as error:
        raise DataError(f"{file} is not COCO captions JSON: an entry lacks or misnames {error}") from error


def _samples(file: Path, folders: Sequence[Path], pairs: Iterable[tuple[str, str]]) -> list[Sample]:
    captions: dict[str, list[str]] = {}
    for name, caption in pairs:
        if not isinstance(caption, str) or not caption.strip():
            raise DataError(
                f"{file}: the caption of {name!r} is {caption!r}; write a sentence or leave the picture out"
            )
        captions.setdefault(name, []).append(caption.strip())
    if not captions:
        raise DataError(f"{file} names no picture")
    found = {name: _picture(folders, name) for name in captions}
    if missing := [name for name, path in found.items() if path is None]:
        raise DataError(
            f"{file}: {len(missing)} of {len(captions)} pictures are missing in "
            f"{' and '.join(map(str, folders))}, first {missing[0]!r}; name their folder in images"
        )
    return [Sample(path, tuple(captions[name])) for name, path in found.items() if path is not None]


def _picture(folders: Sequence[Path], name: str) -> Path | None:
    return next((path for folder in folders if (path := folder / name).is_file()), None)
