"""Has a bundle read the lines of a data set, and scores what it read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cnnrnn
from cnnrnn.core.bundle import Bundle
from cnnrnn.core.extras import require
from cnnrnn.data.readers import PictureFile, Source
from cnnrnn.evaluation.bootstrap import Bootstrap
from cnnrnn.evaluation.evaluate import say, write_captions
from cnnrnn.evaluation.judged import read_judged
from cnnrnn.evaluation.reading_scores import ReadingScores, score_reading


@dataclass(frozen=True)
class ReadingEvaluation:
    """What a bundle read on the pictures of a data set.

    Attributes:
        bundle: its name.
        beams: the beam width.
        scores: of what it read.
        captions: (picture, text, references) of each picture, in the data set's order.
        failed: (picture, reason) of those that could not be read; they count as an empty text.
        skipped: pictures of the sources that were left out.
        bootstrap: of the intervals.
    """

    bundle: str
    beams: int
    scores: ReadingScores
    captions: tuple[tuple[PictureFile, str, tuple[str, ...]], ...]
    failed: tuple[tuple[PictureFile, str], ...]
    skipped: int
    bootstrap: Bootstrap

    def to_dict(self) -> dict[str, Any]:
        """As the command line's ``--json`` has it: ``cer``, ``wer``, ``exact_match``."""
        return {
            "bundle": self.bundle,
            "beams": self.beams,
            **self.scores.to_dict(),
            "bootstrap": vars(self.bootstrap),
            "skipped": self.skipped,
            "failed": [{"image": str(path), "error": reason} for path, reason in self.failed],
        }

    def write_captions(self, path: Path) -> None:
        """Writes one JSON line a picture: ``image``, ``text``, ``references``.

        Raises:
            StorageError: the file cannot be written; the old one is whole.
        """
        write_captions(path, self.captions)


def evaluate_reading(
    bundle: str | Path,
    sources: Sequence[str | Path | Source],
    *,
    images: Sequence[str | Path] = (),
    beams: int | None = None,
    batch: int = 16,
    precision: str | None = None,
    skip_share: float = 0.0,
    bootstrap: Bootstrap | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> ReadingEvaluation:
    """Reads every picture of the sources and scores the best hypothesis.

    Args:
        bundle: a folder or a shipped bundle's name, of one that reads lines.
        sources, images, beams, batch, precision, skip_share, on_progress: as of
            :func:`cnnrnn.evaluation.evaluate`.
        bootstrap: of the intervals; the defaults, where there is none.

    Raises:
        DataError: a source is missing or malformed, or the bundle is not of that kind.
        BundleError, OptionsError: as :func:`cnnrnn.load` and the model raise them.
        MissingDependencyError: the extra ``eval`` is not installed.
    """
    require("jiwer", extra="eval")  # before any work, not after the last picture
    bootstrap = bootstrap or Bootstrap()
    opened = Bundle.open(Path(bundle))
    samples, skipped = read_judged(opened.manifest, sources, images, skip_share)
    with cnnrnn.load(opened, precision=precision) as model:
        width = beams if beams is not None else model.manifest.search.beams
        hypotheses, failed = say(model, samples, width, batch, on_progress)
    texts = [several[0] for several in hypotheses]
    return ReadingEvaluation(
        bundle=opened.manifest.name,
        beams=width,
        scores=score_reading(texts, [sample.captions for sample in samples], bootstrap),
        captions=tuple(
            (sample.image, text, sample.captions) for sample, text in zip(samples, texts, strict=True)
        ),
        failed=failed,
        skipped=skipped,
        bootstrap=bootstrap,
    )
