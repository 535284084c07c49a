"""The pictures that a run trains on and those that it is watched on, checked before any other work."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch

from cnnrnn.data.leaks import refuse_leaks, shared_pictures
from cnnrnn.data.pictures import check_pictures, usable_samples
from cnnrnn.data.readers import Sample, Source, read_source
from cnnrnn.training.config import DataConfig, TrainConfig

log = logging.getLogger(__name__)


def read_samples(config: TrainConfig) -> tuple[list[Sample], list[Sample]]:
    """Reads the sources of ``[data]``.

    Returns:
        What to train on, and what to validate on: ``validation``'s, or ``validation_share`` of the training
        pictures, drawn by the seed. Pictures that are the same go to the same side.

    Raises:
        DataError: a source is malformed, more than ``skip_share`` of its pictures cannot be used, or a
            picture of ``train`` is in ``validation`` or ``test`` too and ``allow_leaks`` is not set.
    """
    data = config.data
    training = _read(data, data.train)
    validation = _read(data, data.validation)
    if not data.allow_leaks:
        refuse_leaks(training, validation, "validation")
        refuse_leaks(training, _read(data, data.test), "test")
    if data.validation:
        return training, validation
    return _hold_out(training, data.validation_share, config.seed)


def _read(data: DataConfig, sources: Sequence[str | Source]) -> list[Sample]:
    readings = [check_pictures(read_source(source, data.images), data.check_pictures) for source in sources]
    return usable_samples(readings, data.skip_share)


def _hold_out(samples: list[Sample], share: float, seed: int) -> tuple[list[Sample], list[Sample]]:
    count = round(len(samples) * share)
    if not count:
        return samples, []
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(seed)).tolist()
    kept, held_out = [samples[i] for i in sorted(order[count:])], [samples[i] for i in sorted(order[:count])]
    doubles = {picture for picture, _ in shared_pictures(kept, held_out)}
    if doubles:
        log.info("%d more pictures are held out: they are the same as some that are", len(doubles))
        held_out += [sample for sample in kept if sample.image in doubles]
        kept = [sample for sample in kept if sample.image not in doubles]
    return kept, held_out
