"""The sample pictures shipped with the package: the demo captions them, the parity gate decodes them."""

from __future__ import annotations

from pathlib import Path

PICTURE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


def package_data(folder: str) -> Path:
    """The package's data folder of that name, which may not exist."""
    return Path(__file__).resolve().parent.parent / folder


def pictures_in(folder: Path) -> list[Path]:
    """Every picture at or under ``folder`` by its file name's ending, sorted by path."""
    return sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()
    )


def sample_pictures() -> list[Path]:
    """The shipped sample pictures, sorted by path; empty where the package was built without them."""
    return pictures_in(package_data("samples"))
