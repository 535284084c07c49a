"""Judge a bundle on pictures whose captions are known.

DATA is a folder with captions.json, a CSV with the columns image and caption, or COCO's captions JSON.
Printed are exact_match and bleu_4 (0 to 1) and cider (0 to 10), beside those of saying the most frequent
caption always.
A picture that cannot be read counts as an empty caption, and the exit code is 1.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cnnrnn.cli import options
from cnnrnn.cli.output import Progress, note_unusable, print_json, print_line, table
from cnnrnn.core.errors import OptionsError
from cnnrnn.core.storage import check_folder_of

if TYPE_CHECKING:
    from cnnrnn.evaluation import Evaluation

METRICS = ("exact_match", "bleu_4", "cider")


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
        help="where the pictures of a CSV or of COCO's JSON are (default: beside it); may be given again",
    )
    parser.add_argument("--beams", type=int, metavar="K", help="beam width (default: the bundle's)")
    parser.add_argument(
        "--batch", type=int, default=16, metavar="B", help="pictures at once (default: %(default)s)"
    )
    parser.add_argument("--precision", help="one that the bundle has: fp32 (default), fp16, ...")
    parser.add_argument(
        "--captions", type=Path, metavar="FILE", help="write every caption beside its references (JSONL)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Caption everything, then score it.

    Raises:
        OptionsError: a batch below 1, or DATA or a folder of pictures that does not exist.
        CnnrnnError: as `cnnrnn.evaluation.evaluate`.
    """
    if arguments.batch < 1:
        raise OptionsError(f"--batch is {arguments.batch}; give 1 or more")
    for source in arguments.data:
        if not source.exists():
            raise OptionsError(
                f"there is no {source}; give a folder with captions.json, a CSV or COCO's JSON"
            )
    for folder in arguments.images:
        if not folder.is_dir():
            raise OptionsError(f"--images is {folder}, and there is no such folder; give the pictures' own")
    if arguments.captions is not None:
        check_folder_of(arguments.captions)
    from cnnrnn.evaluation import evaluate

    progress: list[Progress] = []

    def on_progress(done: int, total: int) -> None:
        if not progress:
            progress.append(Progress(total, "pictures"))
        progress[0].update(done)

    evaluation = evaluate(
        arguments.bundle,
        arguments.data,
        images=arguments.images,
        beams=arguments.beams,
        batch=arguments.batch,
        precision=arguments.precision,
        on_progress=on_progress,
    )
    if arguments.captions is not None:
        evaluation.write_captions(arguments.captions)
    if arguments.json:
        print_json(evaluation.to_dict())
    else:
        _print(evaluation)
    for path, reason in evaluation.failed:
        note_unusable(str(path), reason)
    return 1 if evaluation.failed else 0


def _print(evaluation: Evaluation) -> None:
    floor = "most frequent caption"
    rows = [("", evaluation.bundle, floor)]
    rows += [
        (name, f"{getattr(evaluation.scores, name):.4f}", f"{getattr(evaluation.frequent, name):.4f}")
        for name in METRICS
    ]
    for line in table(rows, right=frozenset({1, 2})):
        print_line(line)
    print_line(f"{evaluation.scores.pictures} pictures, beam {evaluation.beams}")
