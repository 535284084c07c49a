"""Captions a data set with a bundle and scores what it said."""

from __future__ import annotations

import collections
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cnnrnn
from cnnrnn.core.errors import CnnrnnError
from cnnrnn.core.extras import require
from cnnrnn.core.storage import write_atomic
from cnnrnn.data.readers import PictureFile, Sample, read_captions
from cnnrnn.evaluation.metrics import CaptionScores, score_captions


@dataclass(frozen=True)
class Evaluation:
    """What a bundle said about a data set.

    Attributes:
        bundle: its name.
        beams: the beam width.
        scores: of the bundle's captions.
        frequent: the floor: the most frequent caption of the data set, said of every picture.
        captions: (picture, caption, references) of each picture, in the data set's order.
        failed: (picture, reason) of those that could not be read; they count as an empty caption.
    """

    bundle: str
    beams: int
    scores: CaptionScores
    frequent: CaptionScores
    captions: tuple[tuple[PictureFile, str, tuple[str, ...]], ...]
    failed: tuple[tuple[PictureFile, str], ...]

    def to_dict(self) -> dict[str, Any]:
        """Names as the command line promises them: ``exact_match``, ``bleu_4``, ``cider``."""
        return {
            "bundle": self.bundle,
            "beams": self.beams,
            **vars(self.scores),
            "floor_most_frequent": vars(self.frequent),
            "failed": [{"image": str(path), "error": reason} for path, reason in self.failed],
        }

    def write_captions(self, path: Path) -> None:
        """Writes one JSON line a picture: ``image``, ``text``, ``references``.

        Raises:
            StorageError: the file cannot be written; the old one is whole.
        """
        lines = [
            json.dumps({"image": str(image), "text": text, "references": references}, ensure_ascii=False)
            for image, text, references in self.captions
        ]
        write_atomic(path, ("\n".join(lines) + "\n").encode())


def evaluate(
    bundle: str | Path,
    sources: Sequence[str | Path],
    *,
    images: Sequence[str | Path] = (),
    beams: int | None = None,
    batch: int = 16,
    precision: str | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Captions every picture of the sources and scores the best hypothesis.

    Args:
        bundle: a folder or a shipped bundle's name.
        sources: caption files or folders, as :func:`cnnrnn.data.readers.read_captions` takes them.
        images: folders to look for the pictures of a CSV or of COCO's JSON in; the file's own by default.
        beams: beam width; the bundle's own by default.
        batch: pictures decoded at once.
        precision: the bundle's precision to run; its first by default.
        on_progress: called with pictures done and all, after each batch.

    Raises:
        DataError: a source is missing or malformed.
        BundleError, OptionsError: as :func:`cnnrnn.load` and the model raise them.
        MissingDependencyError: the extra ``eval`` is not installed.
    """
    require("pycocoevalcap", extra="eval")  # before any work, not after the last picture
    samples = [sample for source in sources for sample in read_captions(source, images)]
    texts: list[str] = []
    failed: list[tuple[PictureFile, str]] = []
    with cnnrnn.load(bundle, precision=precision) as model:
        width = beams if beams is not None else model.manifest.search.beams
        for part in _parts(samples, batch):
            results = model([sample.image for sample in part], beams=width, errors="return")
            for sample, result in zip(part, results, strict=True):
                if isinstance(result, CnnrnnError):
                    failed.append((sample.image, str(result)))
                texts.append("" if isinstance(result, CnnrnnError) else result.text)
            on_progress(len(texts), len(samples))
        name = model.manifest.name
    references = [sample.captions for sample in samples]
    frequent = collections.Counter(text for captions in references for text in captions).most_common(1)[0][0]
    return Evaluation(
        bundle=name,
        beams=width,
        scores=score_captions(texts, references),
        frequent=score_captions([frequent] * len(samples), references),
        captions=tuple(
            (sample.image, text, sample.captions) for sample, text in zip(samples, texts, strict=True)
        ),
        failed=tuple(failed),
    )


def _parts(samples: Sequence[Sample], size: int) -> Iterator[Sequence[Sample]]:
    for start in range(0, len(samples), size):
        yield samples[start : start + size]
