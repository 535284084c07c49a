"""Judge a bundle on pictures whose captions are known.

DATA is a source of captioned pictures as `cnnrnn train` takes them: a folder with captions.json, a CSV,
COCO's, nocaps', Karpathy's, Flickr's or Conceptual Captions' files, or tar shards.
Printed are exact_match, bleu_1 to bleu_4, rouge_l, meteor and spice (0 to 1), cider and oracle_cider (0 to
10), each with its 95 % bootstrap interval, beside those of saying the most frequent caption always.
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
    from cnnrnn.evaluation import Evaluation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """BUNDLE and DATA, and how to decode."""
    options.add_bundle(parser)
    parser.add_argument("data", metavar="DATA", nargs="+", type=Path, help="captioned pictures")
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
    for source in arguments.data:
        if not source.exists() and not set("*{") & set(str(source)):
            raise OptionsError(
                f"there is no {source}; give a folder with captions.json, a caption file or tar shards"
            )
    for folder in arguments.images:
        if not folder.is_dir():
            raise OptionsError(f"--images is {folder}, and there is no such folder; give the pictures' own")
    for file in (arguments.captions, arguments.html):
        if file is not None:
            check_folder_of(file)
    from cnnrnn.data.readers import Source
    from cnnrnn.evaluation import Bootstrap, ScoreOptions, evaluate

    progress: list[Progress] = []

    def on_progress(done: int, total: int) -> None:
        if not progress:
            progress.append(Progress(total, "pictures"))
        progress[0].update(done)

    evaluation = evaluate(
        arguments.bundle,
        [Source(str(source), split=tuple(arguments.split)) for source in arguments.data],
        images=arguments.images,
        beams=arguments.beams,
        batch=arguments.batch,
        precision=arguments.precision,
        skip_share=arguments.skip_share,
        scoring=ScoreOptions(
            arguments.tokenizer,
            java=not arguments.no_java,
            bootstrap=Bootstrap(resamples=arguments.resamples, seed=arguments.seed),
        ),
        on_progress=on_progress,
    )
    if arguments.captions is not None:
        evaluation.write_captions(arguments.captions)
    rows = _rows(evaluation)
    if arguments.html is not None:
        write_eval_page(arguments.html, evaluation, rows, arguments.bundle, arguments.precision)
    if arguments.json:
        print_json(evaluation.to_dict())
    else:
        _print(evaluation, rows)
    for path, reason in evaluation.failed:
        note_unusable(str(path), reason)
    return 1 if evaluation.failed else 0


def _rows(evaluation: Evaluation) -> list[tuple[str, str, str, str]]:
    scores, floor = evaluation.scores, evaluation.frequent.values
    rows = [("", evaluation.bundle, "95 % interval", "most frequent caption")]
    for name, value in scores.values.items():
        ends = scores.intervals.get(name)
        interval = "" if ends is None else f"{ends[0]:.4f} to {ends[1]:.4f}"
        rows.append((name, f"{value:.4f}", interval, f"{floor[name]:.4f}" if name in floor else ""))
    return rows


def _print(evaluation: Evaluation, rows: list[tuple[str, str, str, str]]) -> None:
    scores = evaluation.scores
    for line in table(rows, right=frozenset({1, 2, 3})):
        print_line(line)
    print_line(f"{scores.pictures} pictures, beam {evaluation.beams}, tokenizer {scores.tokenizer}")
    for name, reason in scores.left_out.items():
        print_line(f"{name} is left out: {reason}")
