"""The sample pictures shipped with the package: the demo captions them, the parity gate decodes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

PICTURE_SUFFIXES = frozenset({".bmp", ".dcm", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


def package_data(folder: str) -> Path:
    """The package's data folder of that name, which may not exist."""
    return Path(__file__).resolve().parent.parent / folder


def pictures_in(folder: Path) -> list[Path]:
    """Every picture at or under ``folder`` by its file name's ending, sorted by path."""
    return sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()
    )


def studies_of(pictures: Sequence[Path], views: int) -> list[tuple[Path, ...]]:
    """Pictures as studies of at most so many views: those of one folder are one study's, by name.

    A folder of more pictures than a study has views is a folder of studies of one view each.
    """
    if views == 1:
        return [(picture,) for picture in pictures]
    folders: dict[Path, list[Path]] = {}
    for picture in pictures:
        folders.setdefault(picture.parent, []).append(picture)
    studies: list[tuple[Path, ...]] = []
    for found in folders.values():
        studies += [tuple(found)] if len(found) <= views else [(picture,) for picture in found]
    return studies


def sample_pictures() -> list[Path]:
    """The shipped sample pictures, sorted by path; empty where the package was built without them."""
    return pictures_in(package_data("samples"))
