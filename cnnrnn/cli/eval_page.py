"""`cnnrnn eval --html`: which pictures are shown, and what the page says of each."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cnnrnn
from cnnrnn.core.errors import CnnrnnError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cnnrnn.data.readers import Sample
    from cnnrnn.evaluation import AnswerEvaluation, Evaluation, ReadingEvaluation
    from cnnrnn.runtime.model import Model
    from cnnrnn.runtime.result import Result

SHOWN = 8
"""Pictures of each group, where there are so many."""

CAPTION_FACTS = {"cider": "CIDEr-D", "rouge_l": "ROUGE-L", "oracle_cider": "oracle CIDEr-D"}
ANSWER_FACTS = {"accuracy": "accuracy", "exact_match": "exact match"}
READING_FACTS = {"accuracy": "characters right", "edits": "edits"}


def write_eval_page(
    target: Path,
    evaluation: Evaluation | AnswerEvaluation | ReadingEvaluation,
    rows: Sequence[Sequence[str]],
    bundle: str,
    precision: str | None,
) -> None:
    """Ask for the pictures that are shown once more, for the attention, and write the page.

    Args:
        target: the file to write.
        evaluation: what was said of all pictures.
        rows: the table of scores, its head first.
        bundle, precision: as the evaluation had them.

    Raises:
        CnnrnnError: the bundle cannot be loaded any more, or the file cannot be written.
    """
    from cnnrnn.cli.page import Answered, write_report
    from cnnrnn.evaluation import Evaluation

    facts, ranked = _ranking(evaluation)
    bootstrap = evaluation.scoring.bootstrap if isinstance(evaluation, Evaluation) else evaluation.bootstrap
    samples = _samples(evaluation)
    broken = {str(picture) for picture, _ in evaluation.failed}
    usable = [number for number, sample in enumerate(samples) if str(sample.image) not in broken]
    each = evaluation.scores.each
    groups: dict[str, list[Answered]] = {}
    with cnnrnn.load(bundle, precision=precision) as model:
        for heading, numbers in choose([each[name] for name in facts], usable, bootstrap.seed).items():
            groups[heading] = [
                Answered(samples[number].image, result, samples[number].captions, _facts(facts, each, number))
                for number in numbers
                if (result := _again(model, samples[number], evaluation.beams)) is not None
            ]
        write_report(target, groups, rows, model.manifest, _about(evaluation, ranked))


def _ranking(
    evaluation: Evaluation | AnswerEvaluation | ReadingEvaluation,
) -> tuple[Mapping[str, str], str]:
    """What is shown of each picture, the first of which ranks it; and what that is in words."""
    from cnnrnn.evaluation import AnswerEvaluation, Evaluation

    if isinstance(evaluation, Evaluation):
        return CAPTION_FACTS, "their own CIDEr-D, then by ROUGE-L"
    if isinstance(evaluation, AnswerEvaluation):
        return ANSWER_FACTS, "the accuracy of the answer"
    return READING_FACTS, "the share of characters that were read"


def _samples(evaluation: Evaluation | AnswerEvaluation | ReadingEvaluation) -> list[Sample]:
    from cnnrnn.data.readers import Sample
    from cnnrnn.evaluation import AnswerEvaluation

    if isinstance(evaluation, AnswerEvaluation):
        return [sample for sample, _ in evaluation.answers]
    return [Sample(picture, references) for picture, _, references in evaluation.captions]


def _again(model: Model, sample: Sample, beams: int) -> Result | None:
    from cnnrnn.evaluation import answers, ask

    if sample.question:
        found = ask(model, sample.image, [sample.question], beams)
        return found[0] if isinstance(found, list) else None
    (answer,) = answers(model, [sample], beams)
    return None if isinstance(answer, CnnrnnError) else answer


def choose(ranking: Sequence[NDArray[np.float64]], usable: Sequence[int], seed: int) -> dict[str, list[int]]:
    """The pictures to show by group, each in one group: the best, the worst, and some drawn from the others.

    Args:
        ranking: each picture's score, and what decides where that is the same.
        usable: the numbers of the pictures that can be shown.
        seed: of the draw.
    """
    ranked = sorted(usable, key=lambda number: (*(-score[number] for score in ranking), number))
    count = min(SHOWN, -(-len(ranked) // 3))
    best, others = ranked[:count], ranked[count:]
    worst = others[::-1][:count]
    between = others[: len(others) - len(worst)]
    drawn = sorted(random.Random(seed).sample(between, min(count, len(between))), key=ranked.index)
    return {"The best": best, "The worst": worst, "Drawn from the others": drawn}


def _facts(facts: Mapping[str, str], each: Mapping[str, NDArray[np.float64]], number: int) -> tuple[str, ...]:
    return tuple(f"{shown} {each[name][number]:.3f}" for name, shown in facts.items())


def _about(evaluation: Evaluation | AnswerEvaluation | ReadingEvaluation, ranked: str) -> dict[str, str]:
    from cnnrnn.evaluation import Evaluation, ReadingEvaluation

    if isinstance(evaluation, ReadingEvaluation):
        judged, bootstrap = {"lines": str(evaluation.scores.pictures)}, evaluation.bootstrap
    elif isinstance(evaluation, Evaluation):
        scores, bootstrap = evaluation.scores, evaluation.scoring.bootstrap
        judged = {"pictures": str(scores.pictures), "words": f"tokenizer {scores.tokenizer}"}
    else:
        judged, bootstrap = {"questions": str(evaluation.scores.questions)}, evaluation.bootstrap
    return {
        **judged,
        "search": f"beam {evaluation.beams}",
        "ranked by": ranked,
        "intervals": f"{bootstrap.resamples} draws, seed {bootstrap.seed}",
        "made by": f"cnnrnn {cnnrnn.__version__}",
    }
