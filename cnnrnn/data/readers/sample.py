"""What reading gives: pictures with their captions, and what was wrong with the others."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cnnrnn.core.errors import DataError, ImageError
from cnnrnn.data.readers.generated import GeneratedPicture

FaultKind = Literal["missing", "broken", "uncaptioned", "empty", "long", "language"]

LISTED = 5
"""How many faults a message names; the others are counted."""

_COUNTED = {
    "missing": "{count} of {pictures} pictures are missing",
    "broken": "{count} of {pictures} pictures are broken",
    "uncaptioned": "{count} of {pictures} pictures have no caption",
    "empty": "captions that are empty: {count}",
    "long": "captions that are too long: {count}",
    "language": "captions in no language: {count}",
}


@dataclass(frozen=True)
class ShardPicture:
    """A picture inside a tar shard, read where it lies.

    Attributes:
        shard: the tar file.
        name: of the member.
        offset, size: of the picture's bytes in the shard.
    """

    shard: Path
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.shard}:{self.name}"

    def read_bytes(self) -> bytes:
        """The encoded picture.

        Raises:
            ImageError: the shard is gone or was cut short since it was listed.
        """
        try:
            with self.shard.open("rb") as stream:
                stream.seek(self.offset)
                data = stream.read(self.size)
        except OSError as error:
            raise ImageError(f"cannot read {self}: {error.strerror or error}") from error
        if len(data) != self.size:
            raise ImageError(f"{self} has {len(data)} of {self.size} bytes; get the shard again")
        return data


@dataclass(frozen=True)
class StudyFiles:
    """Views of one thing, a file each, in their order; they are one picture."""

    paths: tuple[Path, ...]

    def __str__(self) -> str:
        return " + ".join(map(str, self.paths))

    @property
    def name(self) -> str:
        """The first view's."""
        return self.paths[0].name

    @property
    def size(self) -> int:
        """Bytes of all views together.

        Raises:
            OSError: a file cannot be looked at.
        """
        return sum(path.stat().st_size for path in self.paths)

    def read_bytes(self) -> bytes:
        """The encoded views, one after the other: what tells one study from another.

        Raises:
            ImageError: a file cannot be read.
        """
        try:
            return b"".join(path.read_bytes() for path in self.paths)
        except OSError as error:
            raise ImageError(f"cannot read {self}: {error.strerror or error}") from error


PictureFile = Path | ShardPicture | GeneratedPicture | StudyFiles


@dataclass(frozen=True)
class Sample:
    """A picture and what people wrote about it; ``captions`` is never empty.

    With a ``question`` about the picture, ``captions`` are its answers, of several people's each one's.
    ``languages`` are the codes of the captions' languages, one for each, or empty where a source names none.
    """

    image: PictureFile
    captions: tuple[str, ...]
    question: str = ""
    languages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One picture as a caption file has it, before anything is checked.

    Attributes:
        where: its place in the file, such as ``"images[3]"`` or ``"line 7"``.
        names: what its file may be called, relative to a folder of pictures, the first one for people; or
            the picture itself, where the file holds it.
        captions: what stands there.
        split: the part of the data set that it belongs to; empty where the format knows none.
        question: what was asked, in a data set of questions; there a picture has an entry for each.
        views: the names of all views, where there are several of one thing.
        languages: of each caption, as the file has it; empty where it names none.
    """

    where: str
    names: tuple[str, ...] | ShardPicture
    captions: tuple[object, ...]
    split: str = ""
    question: object = None
    views: tuple[str, ...] = ()
    languages: tuple[object, ...] = ()

    @property
    def name(self) -> str:
        return self.names.name if isinstance(self.names, ShardPicture) else self.names[0]


@dataclass(frozen=True)
class Fault:
    """What is wrong with one picture or caption.

    Attributes:
        kind: what it is counted as.
        picture: its file, or its name where there is none.
        message: a sentence with the place, the value and, where there is one, the limit.
    """

    kind: FaultKind
    picture: str
    message: str


@dataclass(frozen=True)
class Reading:
    """A source that was read.

    Attributes:
        file: for messages.
        samples: what can be used, in the file's order; every picture once, or once for each question.
        faults: of the others, and captions that were left out.
        pictures: how many the source names, in the split that was chosen, once for each question.
    """

    file: Path
    samples: tuple[Sample, ...]
    faults: tuple[Fault, ...]
    pictures: int

    @property
    def skipped(self) -> int:
        """How many pictures have a fault, of their own or of a caption."""
        return len({fault.picture for fault in self.faults})

    def summary(self) -> str:
        """The faults, counted by kind, and the first ones in words; empty where there is none."""
        counts = Counter(fault.kind for fault in self.faults)
        counted = [
            text.format(count=counts[kind], pictures=self.pictures)  # type: ignore[index]
            for kind, text in _COUNTED.items()
            if kind in counts
        ]
        listed = [f"\n  {fault.message}" for fault in self.faults[:LISTED]]
        more = len(self.faults) - len(listed)
        return ", ".join(counted) + "".join(listed) + (f"\n  and {more} more" if more > 0 else "")

    def usable(self, skip_share: float = 0.0) -> tuple[Sample, ...]:
        """The samples, where few enough pictures have a fault.

        Args:
            skip_share: the largest share of the pictures that may have one.

        Raises:
            DataError: more have one, or nothing is left; counts them and lists the first.
        """
        allowed = int(skip_share * self.pictures + 1e-9)
        if self.skipped > allowed:
            needed = -(-1000 * self.skipped // self.pictures) / 1000
            advice = f"skip_share = {skip_share:g} allows {allowed}; mend them"
            if needed < 1:
                advice += f", or set skip_share = {needed:g}"
            if any(fault.kind == "missing" for fault in self.faults):
                advice += "; where pictures are elsewhere, name their folder in images"
            raise DataError(f"{self.file}: {self.summary()}\n{advice}")
        if not self.samples:
            raise DataError(
                f"{self.file} has no picture that can be used: {self.summary() or 'it names none'}"
            )
        return self.samples
