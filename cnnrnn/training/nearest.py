"""The floor that every captioner has to beat: what people wrote about the most similar known picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cnnrnn.core.manifest import ImageSpec
from cnnrnn.data.pictures import read_fitted
from cnnrnn.data.readers import Sample
from cnnrnn.models.encoders import Encoder
from cnnrnn.training.forward import Normalise

BATCH = 64


def nearest_captions(
    encoder: Encoder, image: ImageSpec, known: Sequence[Sample], unknown: Sequence[Sample]
) -> list[str]:
    """For each unknown picture the first caption of the known one with the nearest pooled features (cosine).

    Args:
        encoder: with features ``"grid"``; it is put into eval mode.
        image: how pictures are fitted and normalised.

    Raises:
        ImageError: a picture cannot be read.
    """
    keys, queries = (pooled_features(encoder, image, samples) for samples in (known, unknown))
    return [known[number].captions[0] for number in (queries @ keys.T).argmax(dim=1).tolist()]


@torch.no_grad()
def pooled_features(encoder: Encoder, image: ImageSpec, samples: Sequence[Sample]) -> Tensor:
    """(N, D) features averaged over positions, of length 1."""
    encoder.eval()
    normalise = Normalise(image, torch.device("cpu"))
    rows = []
    for start in range(0, len(samples), BATCH):
        pictures = [read_fitted(sample.image, image) for sample in samples[start : start + BATCH]]
        batch = torch.stack([torch.from_numpy(picture).permute(2, 0, 1) for picture in pictures])
        rows.append(encoder(normalise(batch)).mean(dim=1))
    return torch.nn.functional.normalize(torch.cat(rows), dim=1)
