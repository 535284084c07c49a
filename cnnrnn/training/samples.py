"""The pictures that a run trains on and those that it is watched on, checked before any other work."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch

from cnnrnn.data.leaks import pictures_of, refuse_leaks, shared_pictures
from cnnrnn.data.pictures import check_pictures, usable_samples
from cnnrnn.data.readers import Generated, PictureFile, Sample, Source, read_source
from cnnrnn.training.config import DataConfig, TrainConfig
from cnnrnn.training.languages import in_languages

log = logging.getLogger(__name__)


def read_samples(config: TrainConfig) -> tuple[list[Sample], list[Sample]]:
    """Reads the sources of ``[data]``.

    Returns:
        What to train on, and what to validate on: ``validation``'s, or ``validation_share`` of the training
        pictures, drawn by the seed. Pictures that are the same go to the same side.

    Raises:
        ConfigError: the captions' languages are not those of ``languages``.
        DataError: a source is malformed, more than ``skip_share`` of its pictures cannot be used, or a
            picture of ``train`` is in ``validation`` or ``test`` too and ``allow_leaks`` is not set.
    """
    data = config.data
    training = in_languages(_read(data, data.train), data.languages, "train")
    validation = in_languages(_read(data, data.validation), data.languages, "validation")
    if not data.allow_leaks:
        refuse_leaks(training, validation, "validation")
        refuse_leaks(training, _read(data, data.test), "test")
    if data.validation:
        return training, validation
    return _hold_out(training, data.validation_share, config.seed)


def _read(data: DataConfig, sources: Sequence[str | Source | Generated]) -> list[Sample]:
    readings = [check_pictures(read_source(source, data.images), data.check_pictures) for source in sources]
    return usable_samples(readings, data.skip_share)


def _hold_out(samples: list[Sample], share: float, seed: int) -> tuple[list[Sample], list[Sample]]:
    pictures = pictures_of(samples)
    count = round(len(pictures) * share)
    if not count:
        return samples, []
    order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(seed)).tolist()
    chosen = {pictures[i] for i in order[:count]}
    doubles = {picture for picture, _ in shared_pictures(*_parted(samples, chosen))}
    if doubles:
        log.info("%d more pictures are held out: they are the same as some that are", len(doubles))
    return _parted(samples, chosen | doubles)


def _parted(samples: list[Sample], pictures: set[PictureFile]) -> tuple[list[Sample], list[Sample]]:
    """The samples of other pictures, and those of these."""
    return (
        [sample for sample in samples if sample.image not in pictures],
        [sample for sample in samples if sample.image in pictures],
    )
