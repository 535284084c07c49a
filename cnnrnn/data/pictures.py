"""Pictures of samples: reading them, and finding those that cannot be read before training begins."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from cnnrnn.core.errors import DataError, ImageError
from cnnrnn.core.manifest import ImageSpec
from cnnrnn.data.readers import Fault, GeneratedPicture, PictureFile, Reading, Sample
from cnnrnn.data.readers.sample import StudyFiles
from cnnrnn.runtime.image import Picture, check_encoded, fit, read_image
from cnnrnn.runtime.views import Study, fit_views

Result = TypeVar("Result")
PictureCheck = Literal["header", "decode", "off"]
THREADS = 8
"""Files read at once: a check waits for the disk, and OpenCV decodes outside the interpreter's lock."""

log = logging.getLogger(__name__)


def read_picture(picture: PictureFile) -> Picture:
    """A sample's picture as (H, W, 3) uint8 RGB; see :func:`cnnrnn.runtime.image.read_image`.

    Raises:
        ImageError: it cannot be read; names the file, or the shard and the member.
    """
    return _named(picture, read_image)


def read_fitted(picture: PictureFile, image: ImageSpec) -> Picture:
    """A sample's picture as the encoder takes it, (image.height, image.width, 3) uint8 RGB.

    Raises:
        ImageError: it cannot be read.
        DataError: it is a study of more views than ``image`` has.
    """
    if isinstance(picture, StudyFiles):
        if len(picture.paths) > image.views:
            raise DataError(
                f"{picture} are {len(picture.paths)} views of one study, and [image] views = {image.views}; "
                f"set views = {len(picture.paths)} there, and a width for all of them side by side"
            )
        return fit_views(Study(picture.paths).read("bgr", image), image)
    pixels = read_picture(picture)
    return fit(pixels, image) if image.views == 1 else fit_views([pixels], image)


def model_source(picture: PictureFile) -> Path | bytes | Study:
    """What a model is given for a sample's picture.

    Raises:
        ImageError: it lies in a shard that cannot be read.
    """
    if isinstance(picture, StudyFiles):
        return Study(picture.paths)
    return picture if isinstance(picture, Path) else picture.read_bytes()


def check_pictures(reading: Reading, how: PictureCheck) -> Reading:
    """Moves the pictures that cannot be read from a reading's samples to its faults.

    Args:
        reading: as :func:`cnnrnn.data.readers.read_source` gives it.
        how: ``"header"`` reads every file and looks at its format, size and end; ``"decode"`` decodes it
            too, which finds damage in the middle and takes about ten times as long; ``"off"`` does nothing.
    """
    if how == "off":
        return reading
    read: Callable[[Path | bytes], Any] = check_encoded if how == "header" else read_image

    def fault(picture: PictureFile) -> Fault | None:
        try:
            _named(picture, read)
        except ImageError as error:
            return Fault("broken", str(picture), str(error))
        return None

    pictures = list(dict.fromkeys(sample.image for sample in reading.samples))
    if all(isinstance(picture, GeneratedPicture) for picture in pictures):
        return reading  # its first picture was drawn when it was read
    with ThreadPoolExecutor(THREADS) as pool:
        found = dict(zip(pictures, pool.map(fault, pictures), strict=True))
    kept = tuple(sample for sample in reading.samples if found[sample.image] is None)
    return replace(reading, samples=kept, faults=(*reading.faults, *filter(None, found.values())))


def usable_samples(readings: Sequence[Reading], skip_share: float) -> list[Sample]:
    """The samples of several sources, in each of which few enough pictures have a fault.

    What is left out is counted and named in the log.

    Raises:
        DataError: in a source more do; see :meth:`cnnrnn.data.readers.Reading.usable`.
    """
    samples: list[Sample] = []
    for reading in readings:
        samples += reading.usable(skip_share)
        if reading.faults:
            log.warning("%s: going on without %s", reading.file, reading.summary())
    return samples


def _named(picture: PictureFile, read: Callable[[Path | bytes], Result]) -> Result:
    """What ``read`` gives for a path, or for the bytes of a shard's member, which its errors then name.

    Of a study, every view is read, and what it gives for the last one is returned.
    """
    if isinstance(picture, StudyFiles):
        *others, last = picture.paths
        for path in others:
            read(path)
        return read(last)
    if isinstance(picture, Path):
        return read(picture)
    data = picture.read_bytes()
    try:
        return read(data)
    except ImageError as error:
        raise ImageError(f"{picture}: {error}") from error
