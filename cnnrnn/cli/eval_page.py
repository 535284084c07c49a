"""`cnnrnn eval --html`: which pictures are shown, and what the page says of each."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cnnrnn
from cnnrnn.core.errors import CnnrnnError

if TYPE_CHECKING:
    from cnnrnn.evaluation import CaptionScores, Evaluation

SHOWN = 8
"""Pictures of each group, where there are so many."""


def write_eval_page(
    target: Path,
    evaluation: Evaluation,
    rows: Sequence[Sequence[str]],
    bundle: str,
    precision: str | None,
) -> None:
    """Caption the pictures that are shown once more, for their attention, and write the page.

    Args:
        target: the file to write.
        evaluation: what was said of all pictures.
        rows: the table of scores, its head first.
        bundle, precision: as the evaluation had them.

    Raises:
        CnnrnnError: the bundle cannot be loaded any more, or the file cannot be written.
    """
    from cnnrnn.cli.page import Answered, write_report
    from cnnrnn.data.readers import Sample
    from cnnrnn.evaluation import answers

    broken = {str(picture) for picture, _ in evaluation.failed}
    usable = [n for n, (picture, _, _) in enumerate(evaluation.captions) if str(picture) not in broken]
    chosen = choose(evaluation.scores, usable, evaluation.scoring.bootstrap.seed)
    groups: dict[str, list[Answered]] = {}
    with cnnrnn.load(bundle, precision=precision) as model:
        for heading, numbers in chosen.items():
            samples = [
                Sample(picture, references)
                for picture, _, references in (evaluation.captions[number] for number in numbers)
            ]
            groups[heading] = [
                Answered(sample.image, result, sample.captions, _facts(evaluation.scores, number))
                for number, sample, result in zip(
                    numbers, samples, answers(model, samples, evaluation.beams), strict=True
                )
                if not isinstance(result, CnnrnnError)
            ]
        write_report(target, groups, rows, model.manifest, _about(evaluation))


def choose(scores: CaptionScores, usable: Sequence[int], seed: int) -> dict[str, list[int]]:
    """The pictures to show by group, each in one group: the best, the worst, and some drawn from the others.

    Args:
        scores: with each picture's own.
        usable: the numbers of the pictures that can be shown.
        seed: of the draw.
    """
    cider, rouge = scores.each["cider"], scores.each["rouge_l"]
    ranked = sorted(usable, key=lambda number: (-cider[number], -rouge[number], number))
    count = min(SHOWN, -(-len(ranked) // 3))
    best, others = ranked[:count], ranked[count:]
    worst = others[::-1][:count]
    between = others[: len(others) - len(worst)]
    drawn = sorted(random.Random(seed).sample(between, min(count, len(between))), key=ranked.index)
    return {"The best": best, "The worst": worst, "Drawn from the others": drawn}


def _facts(scores: CaptionScores, number: int) -> tuple[str, ...]:
    return (
        f"CIDEr-D {scores.each['cider'][number]:.3f}",
        f"ROUGE-L {scores.each['rouge_l'][number]:.3f}",
        f"oracle CIDEr-D {scores.each['oracle_cider'][number]:.3f}",
    )


def _about(evaluation: Evaluation) -> dict[str, str]:
    bootstrap = evaluation.scoring.bootstrap
    return {
        "pictures": str(evaluation.scores.pictures),
        "search": f"beam {evaluation.beams}",
        "words": f"tokenizer {evaluation.scores.tokenizer}",
        "intervals": f"{bootstrap.resamples} draws, seed {bootstrap.seed}",
        "made by": f"cnnrnn {cnnrnn.__version__}",
    }
