"""From a source to samples: its kind, its split, its pictures' files, and what is wrong with each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from cnnrnn.core.errors import DataError
from cnnrnn.core.languages import canonical
from cnnrnn.data.readers.generated import Generated, GeneratedPicture
from cnnrnn.data.readers.json_files import captions_entries, coco_entries, karpathy_entries
from cnnrnn.data.readers.questions import easy_vqa_entries, vqa_csv_entries, vqa_entries
from cnnrnn.data.readers.recognise import Found, recognise
from cnnrnn.data.readers.sample import (
    Entry,
    Fault,
    FaultKind,
    PictureFile,
    Reading,
    Sample,
    ShardPicture,
    StudyFiles,
)
from cnnrnn.data.readers.source import EASY_VQA, Source, source_of
from cnnrnn.data.readers.studies import FOLDER, study_entries
from cnnrnn.data.readers.tables import (
    conceptual_entries,
    csv_entries,
    flickr_csv_entries,
    flickr_token_entries,
    listed_pictures,
)
from cnnrnn.data.readers.webdataset import shard_entries

MAX_CAPTION_CHARACTERS = 10_000
"""The longest caption; what is longer is most often several that lost their line ends or quotes."""

Finder = Callable[[Entry], PictureFile | None]


def read_captions(source: str | Path | Source | Generated, images: Sequence[str | Path] = ()) -> list[Sample]:
    """Reads one source in which nothing may be wrong; see :func:`read_source`.

    Raises:
        DataError: as :func:`read_source`, or a picture is missing, or a caption missing, empty or too long.
    """
    return list(read_source(source, images).usable())


def read_source(source: str | Path | Source | Generated, images: Sequence[str | Path] = ()) -> Reading:
    """Reads one source, and counts what cannot be used in it.

    Args:
        source: a path whose kind is recognised by its content, or a :class:`Source` that says more, or a
            :class:`Generated`, whose captions are those of epoch 0.
        images: the folders that pictures are looked for in, the first that has one counting; without any, the
            caption file's own. Those of the source come before these. A source that is a folder, or shards,
            holds its pictures itself.

    Returns:
        The samples in the file's order, every picture once, and the faults. Whether a picture can be decoded
        is not looked at here.

    Raises:
        DataError: a file or folder is missing, the file is malformed, an id or picture repeats, the split
            does not exist, or has to be chosen.
    """
    source = source_of(source)
    if isinstance(source, Generated):
        return _drawn(source)
    found = recognise(source)
    entries = _chosen(source, found, list(_entries(found)))
    folders = _folders(source, found, images)
    find = _by_stem(folders) if found.kind == "conceptual" else _by_name(folders)
    shown = Path(source.path) if found.kind == "webdataset" else found.file
    return _reading(shown, entries, find, folders)


def _drawn(source: Generated) -> Reading:
    """A generator's captions; its first picture is drawn, so that what is wrong shows before any work."""
    picture, _ = source.draw(0, 0)
    picture()
    samples = (
        Sample(GeneratedPicture(source, index), (source.draw(0, index)[1],)) for index in range(source.count)
    )
    return Reading(source.file, tuple(samples), (), source.count)


def _entries(found: Found) -> Iterable[Entry]:
    if found.kind == "webdataset":
        return (entry for shard in found.shards for entry in shard_entries(shard))
    if found.kind == "captions":
        return captions_entries(found.file, found.content)
    if found.kind in ("coco", "nocaps"):
        return coco_entries(found.file, found.content)
    if found.kind == "karpathy":
        return karpathy_entries(found.file, found.content)
    if found.kind == "studies":
        return study_entries(found.file, found.content)
    if found.kind == "vqa":
        return vqa_entries(found.file, found.content)
    if found.kind == "easy_vqa":
        return easy_vqa_entries(found.file, found.content)
    lines = {
        "csv": csv_entries,
        "vqa_csv": vqa_csv_entries,
        "flickr_token": flickr_token_entries,
        "flickr_csv": flickr_csv_entries,
        "conceptual": conceptual_entries,
    }
    return lines[found.kind](found.file)


def _chosen(source: Source, found: Found, entries: list[Entry]) -> list[Entry]:
    """The entries of the split; a file that is split for training and testing needs one to be chosen."""
    if source.path == EASY_VQA:
        return entries
    if source.split and found.kind in ("flickr_token", "flickr_csv"):
        listed = set().union(*(listed_pictures(found.file, split) for split in source.split))
        return [entry for entry in entries if entry.name in listed]
    known = sorted({entry.split for entry in entries if entry.split})
    if not source.split:
        if found.kind in ("karpathy", "studies") and len(known) > 1:
            raise DataError(
                f"{found.file} has the splits {', '.join(known)}; choose, such as "
                f'{{ path = "{found.file.name}", split = ["train", "restval"] }}, or --split test'
            )
        return entries
    for split in source.split:
        if split not in known:
            has = f"has {', '.join(known)}" if known else f"of kind {found.kind} has no splits"
            raise DataError(f"{found.file}: there is no split {split!r}; the file {has}")
    return [entry for entry in entries if entry.split in source.split]


def _folders(source: Source, found: Found, images: Sequence[str | Path]) -> list[Path]:
    if found.kind == "studies" and not (source.images or images):
        return [folder for folder in (found.file.parent / FOLDER, found.file.parent) if folder.is_dir()]
    if found.kind == "webdataset" or source.path == EASY_VQA or Path(source.path).is_dir():
        return [found.file.parent]
    folders = [Path(folder) for folder in source.images or images] or [found.file.parent]
    for folder in folders:
        if not folder.is_dir():
            raise DataError(
                f"there is no folder {folder} to look for the pictures of {found.file} in; mend images"
            )
    return folders


def _by_name(folders: Sequence[Path]) -> Finder:
    def find(entry: Entry) -> PictureFile | None:
        if isinstance(entry.names, ShardPicture):
            return entry.names
        if entry.views:
            studies = (tuple(folder / name for name in entry.views) for folder in folders)
            whole = (paths for paths in studies if all(path.is_file() for path in paths))
            return next((StudyFiles(paths) for paths in whole), None)
        paths = (folder / name for folder in folders for name in entry.names if name)
        return next((path for path in paths if path.is_file()), None)

    return find


def _by_stem(folders: Sequence[Path]) -> Finder:
    """Files are called by a number; each folder and the folders in it are listed once."""
    files: dict[str, Path] = {}
    for folder in folders:
        for path in sorted([*folder.iterdir(), *folder.glob("*/*")]):
            if path.is_file() and path.suffix.lower() not in (".json", ".txt"):  # img2dataset's notes
                files.setdefault(path.stem, path)

    def find(entry: Entry) -> PictureFile | None:
        assert not isinstance(entry.names, ShardPicture)
        return next((files[name] for name in entry.names if name in files), None)

    return find


def _reading(file: Path, entries: Sequence[Entry], find: Finder, folders: Sequence[Path]) -> Reading:
    if not entries:
        raise DataError(f"{file} names no picture")
    samples: list[Sample] = []
    faults: list[Fault] = []
    places: dict[PictureFile, str] = {}
    for entry in entries:
        picture = find(entry)
        identity = entry.name if picture is None else str(picture)
        captions, languages, wrong = _captions(entry, identity)
        faults += wrong
        if picture is None:
            looked = " and ".join(map(str, folders))
            faults.append(_fault("missing", entry, identity, f"is missing in {looked}"))
            continue
        if entry.question is not None:
            question, wrong = _question(entry, identity)
            faults += wrong
            if captions and question:
                samples.append(Sample(picture, captions, question))
            continue
        if places.setdefault(picture, entry.where) != entry.where:
            raise DataError(
                f"{file}: {entry.where} is the picture {entry.name!r}, as {places[picture]} is; "
                "join their captions"
            )
        if captions:
            samples.append(Sample(picture, captions, languages=languages))
    return Reading(file, tuple(samples), tuple(faults), len(entries))


def _captions(entry: Entry, identity: str) -> tuple[tuple[str, ...], tuple[str, ...], list[Fault]]:
    kept: list[str] = []
    languages: list[str] = []
    what = "caption" if entry.question is None else "answer"
    faults = [] if entry.captions else [_fault("uncaptioned", entry, identity, f"has no {what}")]
    for number, caption in enumerate(entry.captions):
        if not isinstance(caption, str) or not caption.strip():
            faults.append(_fault("empty", entry, identity, f"has the {what} {caption!r}, which says nothing"))
        elif len(caption) > MAX_CAPTION_CHARACTERS:
            size = f"{len(caption)} characters, and at most {MAX_CAPTION_CHARACTERS} may be"
            faults.append(_fault("long", entry, identity, f"has a {what} of {size}: {caption[:40]!r}..."))
        elif not entry.languages:
            kept.append(caption.strip())
        elif (code := _language(entry.languages[number])) is None:
            said = f"has a {what} in the language {entry.languages[number]!r}, which is no code such as 'en'"
            faults.append(_fault("language", entry, identity, f"{said} or 'pt-BR'"))
        else:
            kept.append(caption.strip())
            languages.append(code)
    return tuple(kept), tuple(languages), faults


def _language(written: object) -> str | None:
    return canonical(written) if isinstance(written, str) else None


def _question(entry: Entry, identity: str) -> tuple[str, list[Fault]]:
    question = entry.question
    if not isinstance(question, str) or not question.strip():
        said = f"has the question {question!r}, which asks nothing"
        return "", [_fault("empty", entry, identity, said)]
    if len(question) > MAX_CAPTION_CHARACTERS:
        size = f"{len(question)} characters, and at most {MAX_CAPTION_CHARACTERS} may be"
        return "", [_fault("long", entry, identity, f"has a question of {size}: {question[:40]!r}...")]
    return question.strip(), []


def _fault(kind: FaultKind, entry: Entry, identity: str, said: str) -> Fault:
    return Fault(kind, identity, f"{entry.where}: {entry.name!r} {said}")
