"""Caption files of lines: CSV, Flickr8k's and Flickr30k's originals, Conceptual Captions."""

from __future__ import annotations

import csv
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from cnnrnn.core.errors import DataError
from cnnrnn.data.readers.sample import Entry

_LISTS = ("Flickr_8k.{split}Images.txt", "{split}.txt", "flickr30k_{split}.txt")
_ALSO_CALLED = {"val": "dev", "validation": "dev"}


def csv_entries(file: Path) -> Iterator[Entry]:
    """A table with the columns ``image`` and ``caption``, and perhaps ``language``; a picture may have
    several rows."""
    groups: dict[str, tuple[str, list[str], list[str]]] = {}
    for where, row in csv_rows(file, ("image", "caption"), ("language",)):
        _, captions, languages = groups.setdefault(row["image"], (where, [], []))
        captions.append(row["caption"])
        if "language" in row:
            languages.append(row["language"])
    for name, (where, captions, languages) in groups.items():
        yield Entry(where, (name,), tuple(captions), languages=tuple(languages))


def csv_rows(
    file: Path, columns: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[tuple[str, dict[str, str]]]:
    """Each row's place, and its cells of these columns, empty where there is none; and of the optional ones
    that the file has.

    Raises:
        DataError: a column is missing, or the file is not CSV in UTF-8.
    """
    *first, last = columns
    with file.open(encoding="utf-8-sig", newline="") as stream:
        try:
            rows = csv.DictReader(stream)
            if missing := set(columns) - set(rows.fieldnames or ()):
                raise DataError(
                    f"{file} has no column {sorted(missing)[0]!r}; its first line must name "
                    f"{', '.join(first)} and {last}"
                )
            wanted = [*columns, *(column for column in optional if column in (rows.fieldnames or ()))]
            for row in rows:
                yield f"line {rows.line_num}", {column: row[column] or "" for column in wanted}
        except UnicodeDecodeError as error:
            raise _not_utf8(file, error) from error
        except csv.Error as error:
            raise DataError(
                f"{file} is not CSV: {error}; quote what holds a comma or a line's end"
            ) from error


def flickr_token_entries(file: Path) -> Iterator[Entry]:
    """``1000268201_693b08cb0e.jpg#0<TAB>A child in ...`` (Hodosh et al. 2013, Young et al. 2014)."""

    def rows() -> Iterator[tuple[str, str, str]]:
        for number, line in _lines(file):
            place, tab, caption = line.partition("\t")
            name, hash_, index = place.rpartition("#")
            if not tab or not hash_ or not index.isdecimal():
                raise DataError(
                    f"{file}: line {number} is {line[:60]!r}; a picture, # and a number, a tab and the "
                    "caption are needed"
                )
            yield f"line {number}", name, caption

    yield from _grouped(rows())


def flickr_csv_entries(file: Path) -> Iterator[Entry]:
    """Flickr30k's ``results.csv``: ``image_name| comment_number| comment``.

    The published file has a line that lacks its second bar, ``2199200615.jpg| 4   A dog runs across the
    grass .``; it is read as it is meant.
    """

    def rows() -> Iterator[tuple[str, str, str]]:
        for number, line in _lines(file):
            if number == 1 and line.startswith("image_name|"):
                continue
            cells = [cell.strip() for cell in line.split("|", 2)]
            if len(cells) == 2 and (mended := re.fullmatch(r"(\d+)\s+(.*)", cells[1])):
                cells = [cells[0], *mended.groups()]
            if len(cells) != 3:
                raise DataError(
                    f"{file}: line {number} is {line[:60]!r}; three columns with | between them are needed"
                )
            yield f"line {number}", cells[0], cells[2]

    yield from _grouped(rows())


def conceptual_entries(file: Path) -> Iterator[Entry]:
    """Conceptual Captions (Sharma et al. 2018): ``caption<TAB>address`` a line; nothing is fetched.

    A picture's file is the first there is, whatever its ending, that is called by

    1. the CRC-32 of the address as a decimal number, as the usual download script names it;
    2. the line's number, from 0 and in nine digits, as img2dataset names it.

    Lines with one address are one picture with several captions.
    """
    groups: dict[str, tuple[int, list[str], list[str]]] = {}
    for number, line in _lines(file):
        caption, tab, address = line.partition("\t")
        if not tab or not address.strip():
            raise DataError(
                f"{file}: line {number} is {line[:60]!r}; a caption, a tab and an address are needed"
            )
        address = address.strip()
        _, names, captions = groups.setdefault(address, (number, [str(zlib.crc32(address.encode()))], []))
        names.append(f"{number - 1:09d}")
        captions.append(caption)
    for number, names, captions in groups.values():
        yield Entry(f"line {number}", tuple(names), tuple(captions))


def listed_pictures(file: Path, split: str) -> set[str]:
    """The file names of a Flickr split, which is a list beside the captions.

    Args:
        file: of captions.
        split: the list's own name, or ``train``, ``val``, ``dev`` or ``test``, whose lists are
            ``Flickr_8k.trainImages.txt`` and so on, or ``train.txt``.

    Raises:
        DataError: there is no such list, or it is empty.
    """
    names = [split] if split.endswith(".txt") else []
    for word in () if names else (split, _ALSO_CALLED.get(split)):
        names += [name.format(split=word) for name in _LISTS if word]
    path = next((path for name in names if (path := file.parent / name).is_file()), None)
    if path is None:
        raise DataError(f"{file}: the split {split!r} has no list beside it; looked for {', '.join(names)}")
    listed = {line.strip() for _, line in _lines(path)}
    if not listed:
        raise DataError(f"{path} lists no picture")
    return listed | {f"{name}.jpg" for name in listed if "." not in name}


def _grouped(rows: Iterable[tuple[str, str, str]]) -> Iterator[Entry]:
    """One entry a picture, in the order of the pictures' first rows."""
    groups: dict[str, tuple[str, list[str]]] = {}
    for where, name, caption in rows:
        groups.setdefault(name, (where, []))[1].append(caption)
    for name, (where, captions) in groups.items():
        yield Entry(where, (name,), tuple(captions))


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers from 1, without their ends."""
    with file.open(encoding="utf-8-sig", newline="\n") as stream:
        try:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise _not_utf8(file, error) from error


def _not_utf8(file: Path, error: UnicodeDecodeError) -> DataError:
    return DataError(
        f"{file} is not UTF-8: it has the byte 0x{error.object[error.start]:02x}; save it as UTF-8, of "
        f"Latin-1 for example with: iconv -f latin1 -t utf-8"
    )
