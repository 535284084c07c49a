"""The pictures, or questions about pictures, that a bundle is judged with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cnnrnn.core.errors import DataError
from cnnrnn.core.manifest import Manifest
from cnnrnn.data.pictures import usable_samples
from cnnrnn.data.readers import Sample, Source, read_source


def read_judged(
    manifest: Manifest,
    sources: Sequence[str | Path | Source],
    images: Sequence[str | Path],
    skip_share: float,
) -> tuple[list[Sample], int]:
    """The samples that can be used, and how many are left out.

    Raises:
        DataError: a source is missing or malformed, too much of it cannot be used, or it has questions for a
            bundle that captions pictures, or none for one that answers some.
    """
    readings = [read_source(source, images) for source in sources]
    samples = usable_samples(readings, skip_share)
    asked = sum(bool(sample.question) for sample in samples)
    if manifest.question is None and asked:
        raise DataError(
            f"{asked} of {len(samples)} samples are questions, and the bundle {manifest.name!r} captions "
            "pictures; judge a bundle that answers questions with them"
        )
    if manifest.question is not None and asked < len(samples):
        raise DataError(
            f"{len(samples) - asked} of {len(samples)} samples have no question, and the bundle "
            f"{manifest.name!r} answers questions; give VQA's files, or a table of image, question and answer"
        )
    return samples, sum(reading.skipped for reading in readings)
