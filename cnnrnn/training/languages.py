"""The languages that a run learns: the captions in them, and which of a picture's an epoch draws."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from cnnrnn.core.errors import ConfigError, DataError
from cnnrnn.data.dataset import CaptionDataset, mix_seed
from cnnrnn.data.readers import Sample


def in_languages(samples: Sequence[Sample], languages: Sequence[str], what: str) -> list[Sample]:
    """The samples with their captions in these languages alone; a picture without any is left out.

    Args:
        languages: the codes, as ``[data] languages`` has them; none where captions have no language.
        what: the samples are, such as ``"train"``.

    Raises:
        ConfigError: captions have languages and none is chosen, or none is in a chosen one.
        DataError: languages are chosen, and a picture's captions have none.
    """
    counts = Counter(code for sample in samples for code in sample.languages)
    if not languages:
        if counts:
            raise ConfigError(
                f"data {what} has captions in {', '.join(sorted(counts))}; choose with [data] languages, "
                f"such as {sorted(counts)[:3]}, the default one first"
            )
        return list(samples)
    without = next((sample for sample in samples if not sample.languages), None)
    if without is not None:
        raise DataError(
            f"data {what}: the captions of {without.image} name no language, and [data] languages is "
            f"{list(languages)}; give each caption its language, or choose none"
        )
    if samples and (absent := [code for code in languages if code not in counts]):
        raise ConfigError(
            f"data {what} has no caption in {', '.join(absent)}; its languages are "
            f"{', '.join(sorted(counts))}: mend [data] languages"
        )
    chosen = frozenset(languages)
    kept = (_of(sample, chosen) for sample in samples)
    return [sample for sample in kept if sample.captions]


def _of(sample: Sample, chosen: frozenset[str]) -> Sample:
    pairs = [
        (text, code) for text, code in zip(sample.captions, sample.languages, strict=True) if code in chosen
    ]
    return replace(
        sample, captions=tuple(text for text, _ in pairs), languages=tuple(code for _, code in pairs)
    )


def language_draws(dataset: CaptionDataset, most: int, seed: int) -> Callable[[int], list[int]]:
    """What an epoch draws where each picture's caption is in ``most`` of its languages, or in all it has.

    Every language of a picture is as likely as the others, and so is each of its captions in that language;
    an epoch's draws are a function of the seed and the epoch.

    Returns:
        A function from an epoch to the numbers of its examples, as many in each.
    """
    pictures: dict[int, dict[str, list[int]]] = {}
    for example in range(len(dataset)):
        by_language = pictures.setdefault(dataset.sample_number(example), {})
        by_language.setdefault(dataset.language(example), []).append(example)

    def draws(epoch: int) -> list[int]:
        random = np.random.default_rng(mix_seed(seed, epoch))
        found: list[int] = []
        for by_language in pictures.values():
            alternatives = list(by_language.values())
            for place in random.permutation(len(alternatives))[:most]:
                captions = alternatives[place]
                found.append(captions[int(random.integers(len(captions)))])
        return found

    return draws
