"""Which kind of caption file this is, by its content: names and endings are not believed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnrnn.core.errors import DataError
from cnnrnn.core.extras import require
from cnnrnn.data.readers.source import EASY_VQA, KINDS, Source
from cnnrnn.data.readers.studies import is_studies

HEAD_BYTES = 64 * 1024
_TAR_MAGIC = slice(257, 262)
_TOKEN_LINE = re.compile(r"[^\t]+#\d+\t")
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZ": "bzip2", b"\xfd7": "xz", b"\x28\xb5": "zstd"}


@dataclass(frozen=True)
class Found:
    """A source whose kind is known.

    Attributes:
        file: the caption file, or the first shard.
        kind: one of :data:`cnnrnn.data.readers.source.KINDS`.
        content: a JSON file's document; None for the others.
        shards: the tar files of a ``webdataset``.
    """

    file: Path
    kind: str
    content: Any = None
    shards: tuple[Path, ...] = ()


def recognise(source: Source) -> Found:
    """Finds the source's files, and its kind where it does not say so.

    Raises:
        DataError: a file is missing, cannot be read, or is of no known kind.
    """
    if source.path == EASY_VQA:
        return _easy_vqa(source)
    path = Path(source.path)
    if path.is_dir() and not (path / "captions.json").is_file():
        asked = path / "questions.json"
        if asked.is_file() and source.kind in ("auto", "easy_vqa"):
            return Found(asked, "easy_vqa", read_json(asked))
        studies = path / "annotation.json"
        if studies.is_file() and source.kind in ("auto", "studies"):
            return Found(studies, "studies", read_json(studies))
        shards = tuple(sorted(path.glob("*.tar")))
        if shards:
            return Found(shards[0], "webdataset", shards=shards)
    if not path.exists() and ("*" in source.path or "{" in source.path):
        shards = _expand(path)
        return Found(shards[0], "webdataset", shards=shards)
    file = path / "captions.json" if path.is_dir() else path
    if not file.is_file():
        raise DataError(
            f"{file} does not exist; mend the path, or give a folder with captions.json or shards, or a "
            "caption file of a kind that docs/training.md lists"
        )
    if source.kind == "webdataset":
        return Found(file, "webdataset", shards=(file,))
    if source.kind in ("captions", "coco", "nocaps", "karpathy", "studies", "vqa", "easy_vqa"):
        return Found(file, source.kind, read_json(file))
    if source.kind != "auto":
        return Found(file, source.kind)
    return _by_content(file)


def _easy_vqa(source: Source) -> Found:
    """One split of the data set that the package ``easy-vqa`` holds, as it published them."""
    package = require("easy_vqa", extra="eval")
    if len(source.split) != 1 or source.split[0] not in ("train", "test"):
        raise DataError(
            f"{EASY_VQA} has the splits train and test, and split = {list(source.split)!r}; choose one, such "
            f'as {{ path = "{EASY_VQA}", split = "train" }}, or --split test'
        )
    file = Path(str(package.__file__)).parent / "data" / source.split[0] / "questions.json"
    return Found(file, "easy_vqa", read_json(file))


def read_json(file: Path) -> Any:
    """A JSON document in which no object has a key twice: the first one's captions would be lost.

    Raises:
        DataError: it is not JSON, or a key repeats.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) != len(pairs):
            names = [name for name, _ in pairs]
            repeated = next(name for number, name in enumerate(names) if name in names[:number])
            raise DataError(
                f"{file} has the key {repeated!r} twice in one object; join their captions in a list"
            )
        return table

    try:
        return json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=unique)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{file} is not JSON: {error}") from error


def _by_content(file: Path) -> Found:
    try:
        with file.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}") from error
    if head[_TAR_MAGIC] == b"ustar":
        return Found(file, "webdataset", shards=(file,))
    if (packing := _COMPRESSED.get(head[:2])) and not head[:2].isalpha():
        raise DataError(
            f"{file} is packed with {packing}, and pictures are read where they lie; unpack it first"
        )
    text = head.decode("utf-8", errors="replace").removeprefix("\ufeff").lstrip()
    if text[:1] in ("{", "["):
        return _json_kind(file, read_json(file))
    kind = _line_kind(text.partition("\n")[0].rstrip("\r"))
    if kind is None and file.suffix.lower() == ".csv":
        kind = "csv"  # whose reader says which column is missing
    if kind is None and file.suffix.lower() == ".json":
        read_json(file)  # says why it is none
    if kind is None:
        known = "; ".join(f"{name} is {what}" for name, what in KINDS.items())
        raise DataError(f"{file} starts with {text[:40]!r} and is of no known kind. Known are: {known}")
    return Found(file, kind)


def _json_kind(file: Path, content: Any) -> Found:
    if isinstance(content, list) and content and isinstance(content[0], list):
        return Found(file, "easy_vqa", content)
    if isinstance(content, dict) and isinstance(content.get("questions"), list):
        return Found(file, "vqa", content)
    if is_studies(content):
        return Found(file, "studies", content)
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list):
        return Found(file, "captions", content)
    first = images[0] if images and isinstance(images[0], dict) else {}
    if "sentences" in first:
        return Found(file, "karpathy", content)
    if "annotations" not in content:
        raise DataError(
            f"{file} has images and no annotations, as the image_info files of test sets do; "
            "there is no caption in it"
        )
    return Found(file, "nocaps" if "open_images_id" in first else "coco", content)


def _line_kind(line: str) -> str | None:
    cells = {cell.strip().strip('"') for cell in line.split(",")}
    if {"question", "answer"} <= cells:
        return "vqa_csv"
    if {"image", "caption"} <= cells:
        return "csv"
    if line.lower().startswith("image_name|"):
        return "flickr_csv"
    if _TOKEN_LINE.match(line):
        return "flickr_token"
    columns = line.split("\t")
    if len(columns) == 2 and columns[1].startswith(("http://", "https://")):
        return "conceptual"
    return None


def _expand(path: Path) -> tuple[Path, ...]:
    """The shards of a pattern: ``*`` as a shell has it, and one ``{first..last}`` as WebDataset has it."""
    pattern = re.fullmatch(r"(.*)\{(\d+)\.\.(\d+)\}(.*)", str(path))
    if pattern is None:
        shards = sorted(path.parent.glob(path.name))
        if not shards:
            raise DataError(f"no file matches {path}; mend the pattern")
        return tuple(shards)
    before, first, last, after = pattern.groups()
    numbers = range(int(first), int(last) + 1)
    if not numbers:
        raise DataError(f"{path} counts from {first} to {last}, which is no shard; turn the two around")
    shards = [Path(f"{before}{number:0{len(first)}d}{after}") for number in numbers]
    if absent := [shard for shard in shards if not shard.is_file()]:
        raise DataError(
            f"{len(absent)} of the {len(shards)} shards of {path} do not exist, first {absent[0]}; "
            "get them, or mend the range"
        )
    return tuple(shards)
