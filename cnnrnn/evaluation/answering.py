"""Asks a bundle the questions of a data set and scores its answers, beside what asks no picture."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cnnrnn
from cnnrnn.core.bundle import Bundle
from cnnrnn.core.errors import ImageError, NotFiniteError
from cnnrnn.core.storage import write_atomic
from cnnrnn.data.readers import PictureFile, Sample, Source
from cnnrnn.evaluation.answer_scores import AnswerScores, normalised, score_answers
from cnnrnn.evaluation.bootstrap import Bootstrap
from cnnrnn.evaluation.judged import read_judged

if TYPE_CHECKING:
    from cnnrnn.runtime.model import Model
    from cnnrnn.runtime.result import Result


@dataclass(frozen=True)
class AnswerEvaluation:
    """What a bundle answered to the questions of a data set.

    Attributes:
        bundle: its name.
        beams: the beam width.
        scores: of the bundle's answers.
        frequent: the floor: the most frequent answer of the data set, always.
        question_only: the floor that reads the question and sees no picture: the most frequent answer to the
            same question about the data set's other pictures.
        answers: (sample, answer) of each question, in the data set's order.
        failed: (picture, reason) of those that could not be read; their questions count as not answered.
        skipped: questions of the sources that were left out.
        bootstrap: of the intervals.
    """

    bundle: str
    beams: int
    scores: AnswerScores
    frequent: AnswerScores
    question_only: AnswerScores
    answers: tuple[tuple[Sample, str], ...]
    failed: tuple[tuple[PictureFile, str], ...]
    skipped: int
    bootstrap: Bootstrap

    def to_dict(self) -> dict[str, Any]:
        """As the command line's ``--json`` has it: ``accuracy``, ``exact_match``."""
        return {
            "bundle": self.bundle,
            "beams": self.beams,
            **self.scores.to_dict(),
            "bootstrap": vars(self.bootstrap),
            "floor_most_frequent": self.frequent.values,
            "floor_question_only": self.question_only.values,
            "skipped": self.skipped,
            "failed": [{"image": str(path), "error": reason} for path, reason in self.failed],
        }

    def write_captions(self, path: Path) -> None:
        """Writes one JSON line a question: ``image``, ``question``, ``text``, ``references``.

        Raises:
            StorageError: the file cannot be written; the old one is whole.
        """
        lines = [
            json.dumps(
                {
                    "image": str(sample.image),
                    "question": sample.question,
                    "text": text,
                    "references": sample.captions,
                },
                ensure_ascii=False,
            )
            for sample, text in self.answers
        ]
        write_atomic(path, ("\n".join(lines) + "\n").encode())


def evaluate_questions(
    bundle: str | Path,
    sources: Sequence[str | Path | Source],
    *,
    images: Sequence[str | Path] = (),
    beams: int | None = None,
    precision: str | None = None,
    skip_share: float = 0.0,
    bootstrap: Bootstrap | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> AnswerEvaluation:
    """Asks every question of the sources, those of one picture together, and scores the best hypothesis.

    Args:
        bundle: a folder or a shipped bundle's name, of one that answers questions.
        sources, images, beams, precision, skip_share: as of :func:`cnnrnn.evaluation.evaluate`.
        bootstrap: of the intervals; the defaults, where there is none.
        on_progress: called with questions answered and all, after each picture.

    Raises:
        DataError: a source is missing or malformed, or the bundle is not of that kind.
        BundleError, OptionsError: as :func:`cnnrnn.load` and the model raise them.
    """
    bootstrap = bootstrap or Bootstrap()
    opened = Bundle.open(Path(bundle))
    samples, skipped = read_judged(opened.manifest, sources, images, skip_share)
    with cnnrnn.load(opened, precision=precision) as model:
        width = beams if beams is not None else model.manifest.search.beams
        texts, failed = _answers(model, samples, width, on_progress)
    answers, without = [sample.captions for sample in samples], Bootstrap(resamples=0)
    return AnswerEvaluation(
        bundle=opened.manifest.name,
        beams=width,
        scores=score_answers(texts, answers, bootstrap),
        frequent=score_answers([_most_frequent(samples)] * len(samples), answers, without),
        question_only=score_answers(_by_question(samples), answers, without),
        answers=tuple(zip(samples, texts, strict=True)),
        failed=failed,
        skipped=skipped,
        bootstrap=bootstrap,
    )


def _answers(
    model: Model, samples: Sequence[Sample], beams: int, on_progress: Callable[[int, int], None]
) -> tuple[list[str], tuple[tuple[PictureFile, str], ...]]:
    """Each sample's answer, empty where its picture cannot be read, and those pictures."""
    given: dict[int, str] = {}
    failed: list[tuple[PictureFile, str]] = []
    for numbers in _by_picture(samples):
        picture = samples[numbers[0]].image
        found = ask(model, picture, [samples[number].question for number in numbers], beams)
        if isinstance(found, list):
            given.update(zip(numbers, (result.text for result in found), strict=True))
        else:
            failed.append((picture, str(found)))
            given.update((number, "") for number in numbers)
        on_progress(len(given), len(samples))
    return [given[number] for number in range(len(samples))], tuple(failed)


def ask(
    model: Model, picture: PictureFile, questions: Sequence[str], beams: int
) -> list[Result] | ImageError | NotFiniteError:
    """The answers to all questions about a picture, or why there are none."""
    try:
        source = picture if isinstance(picture, Path) else picture.read_bytes()
        return model.ask(source, questions, beams=beams)
    except (ImageError, NotFiniteError) as error:
        return error


def _by_picture(samples: Sequence[Sample]) -> Iterator[list[int]]:
    numbers: dict[PictureFile, list[int]] = defaultdict(list)
    for number, sample in enumerate(samples):
        numbers[sample.image].append(number)
    yield from numbers.values()


def _most_frequent(samples: Sequence[Sample]) -> str:
    return Counter(answer for sample in samples for answer in sample.captions).most_common(1)[0][0]


def _by_question(samples: Sequence[Sample]) -> list[str]:
    """For each question the most frequent answer to the same one about the other pictures."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for sample in samples:
        counts[normalised(sample.question)].update(sample.captions)
    everywhere = _most_frequent(samples)
    found = []
    for sample in samples:
        others = counts[normalised(sample.question)] - Counter(sample.captions)
        found.append(others.most_common(1)[0][0] if others else everywhere)
    return found
