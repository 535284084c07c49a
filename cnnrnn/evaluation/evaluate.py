"""Captions a data set with a bundle and scores what it said."""

from __future__ import annotations

import collections
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cnnrnn
from cnnrnn.core.bundle import Bundle
from cnnrnn.core.errors import CnnrnnError, ImageError
from cnnrnn.core.storage import write_atomic
from cnnrnn.data.pictures import model_source
from cnnrnn.data.readers import PictureFile, Sample, Source
from cnnrnn.evaluation.bootstrap import Bootstrap
from cnnrnn.evaluation.judged import read_judged
from cnnrnn.evaluation.scores import CaptionScores, ScoreOptions, check_scoring, score_captions

if TYPE_CHECKING:
    from cnnrnn.runtime.model import Model
    from cnnrnn.runtime.result import Result
    from cnnrnn.runtime.views import Study


@dataclass(frozen=True)
class Evaluation:
    """What a bundle said about a data set.

    Attributes:
        bundle: its name.
        beams: the beam width.
        scores: of the bundle's captions.
        frequent: the floor: the most frequent caption of the data set, said of every picture.
        captions: (picture, caption, references) of each picture, in the data set's order.
        skipped: pictures of the sources that were left out, since they are missing or have no caption.
        scoring: how the captions were scored.
        failed: (picture, reason) of those that could not be read; they count as an empty caption.
    """

    bundle: str
    beams: int
    scores: CaptionScores
    frequent: CaptionScores
    captions: tuple[tuple[PictureFile, str, tuple[str, ...]], ...]
    failed: tuple[tuple[PictureFile, str], ...]
    skipped: int = 0
    scoring: ScoreOptions = field(default_factory=ScoreOptions)

    def to_dict(self) -> dict[str, Any]:
        """Names as the command line promises them: ``exact_match``, ``bleu_4``, ``cider``."""
        return {
            "bundle": self.bundle,
            "beams": self.beams,
            **self.scores.to_dict(),
            "bootstrap": vars(self.scoring.bootstrap),
            "floor_most_frequent": {"pictures": self.frequent.pictures, **self.frequent.values},
            "skipped": self.skipped,
            "failed": [{"image": str(path), "error": reason} for path, reason in self.failed],
        }

    def write_captions(self, path: Path) -> None:
        """Writes one JSON line a picture: ``image``, ``text``, ``references``.

        Raises:
            StorageError: the file cannot be written; the old one is whole.
        """
        write_captions(path, self.captions)


def evaluate(
    bundle: str | Path,
    sources: Sequence[str | Path | Source],
    *,
    images: Sequence[str | Path] = (),
    beams: int | None = None,
    batch: int = 16,
    precision: str | None = None,
    skip_share: float = 0.0,
    scoring: ScoreOptions | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Captions every picture of the sources and scores the best hypothesis.

    Args:
        bundle: a folder or a shipped bundle's name, of one that captions pictures;
            :func:`cnnrnn.evaluation.evaluate_questions` is for those that answer questions.
        sources: as :func:`cnnrnn.data.readers.read_source` takes them.
        images: folders to look for pictures in that a source does not hold; the file's own by default.
        beams: beam width; the bundle's own by default.
        batch: pictures decoded at once.
        precision: the bundle's precision to run; its first by default.
        skip_share: the largest share of a source's pictures that may be missing or have no caption.
        scoring: how captions are scored; the defaults leave out METEOR and SPICE.
        on_progress: called with pictures done and all, after each batch.

    Raises:
        DataError: a source is missing or malformed, or the bundle is not of that kind.
        BundleError, OptionsError: as :func:`cnnrnn.load` and the model raise them.
        MissingDependencyError: the extra ``eval`` is not installed.
    """
    scoring = scoring or ScoreOptions()
    check_scoring(scoring)  # before any work, not after the last picture
    opened = Bundle.open(Path(bundle))
    samples, skipped = read_judged(opened.manifest, sources, images, skip_share)
    with cnnrnn.load(opened, precision=precision) as model:
        width = beams if beams is not None else model.manifest.search.beams
        hypotheses, failed = say(model, samples, width, batch, on_progress)
        name = model.manifest.name
    references = [sample.captions for sample in samples]
    texts = [several[0] for several in hypotheses]
    frequent = collections.Counter(text for captions in references for text in captions).most_common(1)[0][0]
    return Evaluation(
        bundle=name,
        beams=width,
        scores=score_captions(texts, references, hypotheses=hypotheses, options=scoring),
        frequent=score_captions([frequent] * len(samples), references, options=_floor(scoring)),
        captions=tuple(
            (sample.image, text, sample.captions) for sample, text in zip(samples, texts, strict=True)
        ),
        failed=failed,
        skipped=skipped,
        scoring=scoring,
    )


def say(
    model: Model,
    samples: Sequence[Sample],
    beams: int,
    batch: int,
    on_progress: Callable[[int, int], None],
) -> tuple[list[tuple[str, ...]], tuple[tuple[PictureFile, str], ...]]:
    """Each sample's hypotheses, best first, or one empty text where its picture cannot be read; and those."""
    hypotheses: list[tuple[str, ...]] = []
    failed: list[tuple[PictureFile, str]] = []
    for part in _parts(samples, batch):
        for sample, result in zip(part, answers(model, part, beams), strict=True):
            if isinstance(result, CnnrnnError):
                failed.append((sample.image, str(result)))
                hypotheses.append(("",))
            else:
                hypotheses.append(tuple(hypothesis.text for hypothesis in result.hypotheses))
        on_progress(len(hypotheses), len(samples))
    return hypotheses, tuple(failed)


def write_captions(path: Path, captions: Iterable[tuple[PictureFile, str, tuple[str, ...]]]) -> None:
    """Writes one JSON line a picture: ``image``, ``text``, ``references``.

    Raises:
        StorageError: the file cannot be written; the old one is whole.
    """
    lines = [
        json.dumps({"image": str(image), "text": text, "references": references}, ensure_ascii=False)
        for image, text, references in captions
    ]
    write_atomic(path, ("\n".join(lines) + "\n").encode())


def answers(model: Model, samples: Sequence[Sample], beams: int) -> list[Result | CnnrnnError]:
    """The model's answer, or the error, for each sample's picture, in one batch.

    Pictures that are no files of their own are read here, and are in memory while the batch is.
    """
    sources: list[Path | bytes | Study] = []
    broken: dict[int, CnnrnnError] = {}
    for number, sample in enumerate(samples):
        try:
            sources.append(model_source(sample.image))
        except ImageError as error:
            broken[number] = error
    given = iter(model(sources, beams=beams, errors="return") if sources else ())
    return [broken[number] if number in broken else next(given) for number in range(len(samples))]


def _floor(scoring: ScoreOptions) -> ScoreOptions:
    """The floor needs no intervals, and is not worth half a minute."""
    return replace(scoring, java=False, bootstrap=Bootstrap(resamples=0))


def _parts(samples: Sequence[Sample], size: int) -> Iterator[Sequence[Sample]]:
    for start in range(0, len(samples), size):
        yield samples[start : start + size]
