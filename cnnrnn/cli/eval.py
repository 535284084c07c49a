"""Judge a bundle on pictures whose captions are known, or on questions whose answers are.

DATA is a source of captioned pictures as `cnnrnn train` takes them: a folder with captions.json, a CSV,
COCO's, nocaps', Karpathy's, Flickr's or Conceptual Captions' files, or tar shards. Of a bundle that answers
questions it is VQA v2's questions, a CSV with image, question and answer, or easy-vqa; without DATA what the
bundle's own recipe tests with, where a package holds it.
Printed are exact_match, bleu_1 to bleu_4, rouge_l, meteor and spice (0 to 1), cider and oracle_cider (0 to
10), each with its 95 % bootstrap interval, beside those of saying the most frequent caption always; of
answers accuracy (VQA's) and exact_match, beside those of the most frequent answer, and of the most frequent
one to the same question; of a bundle that reads lines cer and wer, the error rates of characters and words,
and exact_match.
A picture that cannot be read counts as an empty caption, and the exit code is 1.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cnnrnn.cli import options
from cnnrnn.cli.eval_page import write_eval_page
from cnnrnn.cli.output import Progress, note_unusable, print_json, print_line, table
from cnnrnn.core.errors import OptionsError
from cnnrnn.core.storage import check_folder_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnnrnn.core.manifest import Manifest
    from cnnrnn.data.readers import Source
    from cnnrnn.evaluation import AnswerEvaluation, Evaluation, ReadingEvaluation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """BUNDLE and DATA, and how to decode."""
    options.add_bundle(parser)
    parser.add_argument(
        "data", metavar="DATA", nargs="*", type=Path, help="captioned pictures, or questions about pictures"
    )
    parser.add_argument(
        "--images",
        action="append",
        default=[],
        type=Path,
        metavar="FOLDER",
        help="where the pictures are that DATA does not hold (default: beside it); may be given again",
    )
    parser.add_argument(
        "--split",
        action="append",
        default=[],
        metavar="NAME",
        help="the part of DATA to take, such as test; may be given again",
    )
    parser.add_argument(
        "--skip-share",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="the largest share of pictures that may be missing or lack a caption (default: %(default)s)",
    )
    parser.add_argument("--beams", type=int, metavar="K", help="beam width (default: the bundle's)")
    parser.add_argument(
        "--batch", type=int, default=16, metavar="B", help="pictures at once (default: %(default)s)"
    )
    parser.add_argument("--precision", help="one that the bundle has: fp32 (default), fp16, ...")
    parser.add_argument(
        "--captions", type=Path, metavar="FILE", help="write every caption beside its references (JSONL)"
    )
    parser.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="write a page of the best, the worst and some other pictures, with captions and attention",
    )
    parser.add_argument(
        "--card",
        type=Path,
        metavar="FILE",
        help="write the bundle's model card, with these scores (Markdown)",
    )
    parser.add_argument(
        "--card-notes",
        type=Path,
        metavar="FILE",
        help="what else the card says, of the data, its licences and the model's limits (Markdown)",
    )
    _add_scoring(parser.add_argument_group("scoring"))


def _add_scoring(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--tokenizer",
        default="plain",
        metavar="NAME",
        help="what splits captions: plain (default), ptb as published scores have it (needs Java), zh, char",
    )
    group.add_argument(
        "--no-java",
        action="store_true",
        help="leave out METEOR and SPICE, which take half a minute to load where Java is there",
    )
    group.add_argument(
        "--resamples",
        type=int,
        default=1000,
        metavar="N",
        help="draws of the bootstrap, 0 for no intervals (default: %(default)s)",
    )
    group.add_argument("--seed", type=int, default=0, metavar="N", help="of the draws (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Caption everything, then score it.

    Raises:
        OptionsError: a batch below 1, or DATA or a folder of pictures that does not exist.
        CnnrnnError: as `cnnrnn.evaluation.evaluate`.
    """
    if arguments.batch < 1:
        raise OptionsError(f"--batch is {arguments.batch}; give 1 or more")
    if not 0 <= arguments.skip_share < 1:
        raise OptionsError(f"--skip-share is {arguments.skip_share}; give 0 or more, below 1")
    from cnnrnn.data.readers import EASY_VQA

    for source in arguments.data:
        named = str(source) == EASY_VQA or set("*{") & set(str(source))
        if not source.exists() and not named:
            raise OptionsError(
                f"there is no {source}; give a folder with captions.json, a caption file or tar shards"
            )
    for folder in arguments.images:
        if not folder.is_dir():
            raise OptionsError(f"--images is {folder}, and there is no such folder; give the pictures' own")
    for file in (arguments.captions, arguments.html, arguments.card):
        if file is not None:
            check_folder_of(file)
    notes = _card_notes(arguments)
    evaluation = _evaluate(arguments)
    if arguments.captions is not None:
        evaluation.write_captions(arguments.captions)
    from cnnrnn.evaluation import Evaluation

    rows = _rows_of(evaluation)
    if arguments.html is not None:
        write_eval_page(arguments.html, evaluation, rows, arguments.bundle, arguments.precision)
    if arguments.card is not None:
        _write_card(arguments, rows, evaluation, notes)
    if arguments.json:
        print_json(evaluation.to_dict())
    elif isinstance(evaluation, Evaluation):
        _print(evaluation, rows)
    else:
        _print_table(rows, f"{evaluation.scores.judged}, beam {evaluation.beams}")
    for path, reason in evaluation.failed:
        note_unusable(str(path), reason)
    return 1 if evaluation.failed else 0


def _rows_of(evaluation: Evaluation | AnswerEvaluation | ReadingEvaluation) -> list[tuple[str, ...]]:
    from cnnrnn.evaluation import AnswerEvaluation, Evaluation

    if isinstance(evaluation, Evaluation):
        return _rows(evaluation)
    return _answer_rows(evaluation) if isinstance(evaluation, AnswerEvaluation) else _reading_rows(evaluation)


def _evaluate(arguments: argparse.Namespace) -> Evaluation | AnswerEvaluation | ReadingEvaluation:
    """Judge the bundle as what it is."""
    from cnnrnn.core.bundle import Bundle
    from cnnrnn.data.readers import Source
    from cnnrnn.evaluation import (
        Bootstrap,
        ScoreOptions,
        evaluate,
        evaluate_questions,
        evaluate_reading,
    )

    manifest = Bundle.open(arguments.bundle).manifest
    split = tuple(arguments.split)
    sources = [Source(str(source), split=split) for source in arguments.data]
    sources = sources or _own_sources(manifest, split or ("test",))
    bootstrap = Bootstrap(resamples=arguments.resamples, seed=arguments.seed)
    progress: list[Progress] = []

    def on_progress(done: int, total: int) -> None:
        if not progress:
            progress.append(Progress(total, "pictures" if manifest.question is None else "questions"))
        progress[0].update(done)

    how = {
        "images": arguments.images,
        "beams": arguments.beams,
        "precision": arguments.precision,
        "skip_share": arguments.skip_share,
        "on_progress": on_progress,
    }
    if manifest.question is not None:
        return evaluate_questions(arguments.bundle, sources, bootstrap=bootstrap, **how)
    if manifest.task == "read":
        return evaluate_reading(arguments.bundle, sources, batch=arguments.batch, bootstrap=bootstrap, **how)
    scoring = ScoreOptions(arguments.tokenizer, java=not arguments.no_java, bootstrap=bootstrap)
    return evaluate(arguments.bundle, sources, batch=arguments.batch, scoring=scoring, **how)


def _write_card(
    arguments: argparse.Namespace,
    rows: list[tuple[str, ...]],
    evaluation: Evaluation | AnswerEvaluation | ReadingEvaluation,
    notes: str,
) -> None:
    from cnnrnn.cli.eval_card import write_card
    from cnnrnn.core.bundle import Bundle

    manifest = Bundle.open(arguments.bundle).manifest
    split = tuple(arguments.split) or (() if arguments.data else ("test",))
    data = arguments.data or [Path(source.path) for source in _own_sources(manifest, split)]
    said = f", split {' and '.join(split)}" if split else ""
    judged = {
        "judged on": f"{', '.join(source.name for source in data)}{said}: {evaluation.scores.judged}",
        "search": f"beam {evaluation.beams}, {arguments.precision or 'fp32'}, ONNX Runtime on a CPU",
        "intervals": f"bootstrap over {arguments.resamples} draws, seed {arguments.seed}",
    }
    write_card(arguments.card, manifest, rows, judged, notes)


def _card_notes(arguments: argparse.Namespace) -> str:
    """The text of --card-notes.

    Raises:
        OptionsError: there is no card for it, or the file cannot be read as text.
    """
    if (file := arguments.card_notes) is None:
        return ""
    if arguments.card is None:
        raise OptionsError(f"--card-notes is {file}, and there is no card to put it in; give --card FILE too")
    try:
        return str(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise OptionsError(f"--card-notes is {file}, which cannot be read as UTF-8 text: {error}") from error


def _own_sources(manifest: Manifest, split: tuple[str, ...]) -> list[Source]:
    """What the bundle's recipe names for a split, where it is data that a package holds.

    Raises:
        OptionsError: it names none, or data of the one who trained it.
    """
    from cnnrnn.data.readers import EASY_VQA, Source

    data = manifest.provenance.get("training", {}).get("data", {})
    named = [entry for part in split for entry in data.get(part, ())]
    if not named or any(not isinstance(entry, dict) or entry.get("path") != EASY_VQA for entry in named):
        raise OptionsError(
            f"DATA is not given, and the split {' and '.join(split)} of the bundle {manifest.name!r} is not "
            "data that a package holds; give a source of pictures with captions, or with questions"
        )
    return [Source.of(entry) for entry in named]


def _rows(evaluation: Evaluation) -> list[tuple[str, ...]]:
    scores, floor = evaluation.scores, evaluation.frequent.values
    rows: list[tuple[str, ...]] = [("", evaluation.bundle, "95 % interval", "most frequent caption")]
    for name, value in scores.values.items():
        beside = f"{floor[name]:.4f}" if name in floor else ""
        rows.append((name, f"{value:.4f}", _interval(scores.intervals.get(name)), beside))
    return rows


def _answer_rows(evaluation: AnswerEvaluation) -> list[tuple[str, ...]]:
    scores = evaluation.scores
    floors = evaluation.frequent.values, evaluation.question_only.values
    rows: list[tuple[str, ...]] = [
        ("", evaluation.bundle, "95 % interval", "most frequent answer", "the question alone")
    ]
    for name, value in scores.values.items():
        beside = (f"{floor[name]:.4f}" for floor in floors)
        rows.append((name, f"{value:.4f}", _interval(scores.intervals.get(name)), *beside))
    return rows


def _reading_rows(evaluation: ReadingEvaluation) -> list[tuple[str, ...]]:
    scores = evaluation.scores
    rows: list[tuple[str, ...]] = [("", evaluation.bundle, "95 % interval")]
    for name, value in scores.values.items():
        rows.append((name, f"{value:.4f}", _interval(scores.intervals.get(name))))
    return rows


def _interval(ends: tuple[float, float] | None) -> str:
    return "" if ends is None else f"{ends[0]:.4f} to {ends[1]:.4f}"


def _print_table(rows: Sequence[tuple[str, ...]], about: str) -> None:
    for line in table(rows, right=frozenset(range(1, len(rows[0])))):
        print_line(line)
    print_line(about)


def _print(evaluation: Evaluation, rows: list[tuple[str, ...]]) -> None:
    scores = evaluation.scores
    about = f"{scores.judged}, beam {evaluation.beams}, tokenizer {scores.tokenizer}"
    _print_table(rows, about)
    for name, reason in scores.left_out.items():
        print_line(f"{name} is left out: {reason}")
