"""The same picture in two sets, whatever it is called: a model is then judged on what it was trained on."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from cnnrnn.core.errors import DataError, ImageError
from cnnrnn.data.readers import GeneratedPicture, PictureFile, Sample, ShardPicture
from cnnrnn.data.readers.sample import StudyFiles

LISTED = 5


def shared_pictures(
    first: Sequence[Sample], second: Sequence[Sample]
) -> list[tuple[PictureFile, PictureFile]]:
    """Pictures of ``first`` whose files are byte for byte those of a picture of ``second``.

    Only files of equal size are read, so that it costs little where nothing is shared. Pictures that were
    resized or packed anew are not found, and what is drawn has no file.

    Returns:
        (of the first, of the second), a pair for each picture of ``first`` that is shared.

    Raises:
        DataError: a file cannot be read.
    """
    sizes: dict[int, list[Path | ShardPicture | StudyFiles]] = defaultdict(list)
    for picture in _files_of(second):
        sizes[_size(picture)].append(picture)
    suspects = [picture for picture in _files_of(first) if _size(picture) in sizes]
    wanted = {_size(picture) for picture in suspects}
    known = _by_digest(picture for size in wanted for picture in sizes[size])
    return [(picture, known[digest]) for picture in suspects if (digest := _digest(picture)) in known]


def pictures_of(samples: Iterable[Sample]) -> list[PictureFile]:
    """Every picture once, in order: one that several questions are about has a sample for each."""
    return list(dict.fromkeys(sample.image for sample in samples))


def refuse_leaks(training: Sequence[Sample], others: Sequence[Sample], what: str) -> None:
    """Refuse pictures that are trained on and judged on.

    Args:
        training, others: the two sets.
        what: the other one's name, such as ``"validation"``.

    Raises:
        DataError: there are some; counts them and lists the first.
    """
    if shared := shared_pictures(training, others):
        total = len(pictures_of(training))
        listed = "".join(f"\n  {mine} is {theirs}" for mine, theirs in shared[:LISTED])
        more = f"\n  and {len(shared) - LISTED} more" if len(shared) > LISTED else ""
        raise DataError(
            f"{len(shared)} of {total} pictures of train are in {what} too:{listed}{more}\n"
            "take them out of one, or set allow_leaks = true in [data], and trust no score"
        )


def _files_of(samples: Sequence[Sample]) -> list[Path | ShardPicture | StudyFiles]:
    return [picture for picture in pictures_of(samples) if not isinstance(picture, GeneratedPicture)]


def _size(picture: Path | ShardPicture | StudyFiles) -> int:
    try:
        return picture.stat().st_size if isinstance(picture, Path) else picture.size
    except OSError as error:
        raise DataError(f"cannot read {picture}: {error.strerror or error}") from error


def _by_digest(pictures: Iterable[PictureFile]) -> dict[bytes, PictureFile]:
    found: dict[bytes, PictureFile] = {}
    for picture in pictures:
        found.setdefault(_digest(picture), picture)
    return found


def _digest(picture: PictureFile) -> bytes:
    try:
        return hashlib.sha256(picture.read_bytes()).digest()
    except (OSError, ImageError) as error:
        raise DataError(f"cannot read {picture}: {error}") from error
