"""Asks a bundle the questions of a data set and scores its answers, beside what asks no picture."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnrnn.core.errors import ImageError, NotFiniteError
from cnnrnn.core.storage import write_atomic
from cnnrnn.data.readers import PictureFile, Sample
from cnnrnn.evaluation.answer_scores import AnswerScores, normalised, score_answers
from cnnrnn.evaluation.bootstrap import Bootstrap

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


def evaluate_answers(
    model: Model,
    samples: Sequence[Sample],
    beams: int,
    skipped: int,
    bootstrap: Bootstrap,
    on_progress: Callable[[int, int], None],
) -> AnswerEvaluation:
    """Ask everything; the questions of one picture together.

    Args:
        samples: each with a question.
        skipped: questions that were left out before.
        on_progress: called with questions answered and all, after each picture.
    """
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
    texts, answers = [given[number] for number in range(len(samples))], [one.captions for one in samples]
    without = Bootstrap(resamples=0)
    return AnswerEvaluation(
        bundle=model.manifest.name,
        beams=beams,
        scores=score_answers(texts, answers, bootstrap),
        frequent=score_answers([_most_frequent(samples)] * len(samples), answers, without),
        question_only=score_answers(_by_question(samples), answers, without),
        answers=tuple(zip(samples, texts, strict=True)),
        failed=tuple(failed),
        skipped=skipped,
        bootstrap=bootstrap,
    )


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
