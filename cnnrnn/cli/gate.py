"""What commands that make a bundle behind the gates share: options, progress, and the last word."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnrnn.cli.output import Progress, note, print_json, print_line
from cnnrnn.core.bundle import MANIFEST, Bundle
from cnnrnn.core.errors import OptionsError

if TYPE_CHECKING:
    from cnnrnn.export import LoweringOptions


def add_gate_arguments(parser: argparse.ArgumentParser, name: str, others: str) -> None:
    """What the manifest says, the gate's pictures, how weights are stored, and the lower precisions.

    Args:
        name: whose name a bundle has where none is given, for the help.
        others: likewise of its summary and license.
    """
    parser.add_argument(
        "--replace", action="store_true", help="put the new bundle in the place of the one at BUNDLE"
    )
    parser.add_argument("--name", help=f"the bundle's name (default: {name})")
    parser.add_argument("--summary", help=f"one sentence about it (default: {others})")
    parser.add_argument("--license", help=f"the weights' license, by its SPDX name (default: {others})")
    parser.add_argument(
        "--pictures",
        type=Path,
        metavar="FOLDER",
        help="at least 100 pictures for the gate to caption, with --precision 300 (default: the shipped "
        "samples)",
    )
    parser.add_argument(
        "--weights",
        choices=("fp32", "fp16"),
        help="how weights are stored; fp16 halves the files and is widened on loading (default: fp32)",
    )
    group = parser.add_argument_group("precisions beside fp32")
    group.add_argument(
        "--precision",
        type=_names,
        action="extend",
        default=[],
        metavar="P,...",
        help="fp16, bf16, or both with , between them: graphs that compute in it, behind a gate of their own",
    )
    group.add_argument(
        "--no-doctor",
        dest="doctor",
        action="store_false",
        help="refuse a precision that does not pass; by default the nodes that are the cause are found, kept "
        "in float32, and the result is judged again",
    )
    group.add_argument(
        "--keep-float32",
        action="append",
        default=[],
        metavar="PATTERN",
        help="nodes that stay in float32 from the beginning, by a regular expression of whole names; may be "
        "given again",
    )
    group.add_argument(
        "--doctor-report", type=Path, metavar="FILE", help="write what the doctor found as an HTML page"
    )


def check_gate_arguments(arguments: argparse.Namespace) -> None:
    """Refuse what these options contradict themselves in, before any work.

    Raises:
        OptionsError: a bundle that was not to be replaced, or a report about nothing.
    """
    if not arguments.replace and (arguments.bundle / MANIFEST).exists():
        raise OptionsError(
            f"{arguments.bundle} holds a bundle already; give --replace to put the new one in its place, or "
            "another folder"
        )
    page = arguments.doctor_report
    if page is not None and not arguments.doctor:
        raise OptionsError(f"--doctor-report {page} contradicts --no-doctor; leave one of them out")
    if page is not None and not arguments.precision:
        raise OptionsError(f"--doctor-report {page} is about no precision; give --precision fp16")


def lowering_options(arguments: argparse.Namespace) -> LoweringOptions:
    """The precisions beside fp32, checked.

    Raises:
        OptionsError: one is unknown or given twice.
    """
    from cnnrnn.export import LoweringOptions

    lowering = LoweringOptions(
        tuple(arguments.precision),
        arguments.doctor,
        arguments.doctor_report,
        keep_float32=tuple(arguments.keep_float32),
    )
    lowering.check()
    return lowering


def tell_result(arguments: argparse.Namespace, report: dict[str, Any], text: str) -> None:
    """Print the gates' reports and what was written: for a program, or for a person."""
    size = sum(path.stat().st_size for path in arguments.bundle.rglob("*") if path.is_file())
    if arguments.json:
        print_json({"bundle": str(arguments.bundle), "bytes": size, **report})
    else:
        print_line(text)
        question = Bundle.open(arguments.bundle).manifest.question
        asked = "" if question is None else f" --question {question.examples[0]!r}"
        print_line(
            f"wrote {arguments.bundle}, {size / 1e6:.2f} MB; "
            f"try it with: cnnrnn run {arguments.bundle} PICTURE{asked}"
        )


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


class Stages:
    """The export's progress: a bar for each stage that counts, a line for one that does not.

    What the gates count are searches: each picture is searched once for each beam width. Of the doctor's
    trials nobody knows how many there will be.
    """

    def __init__(self) -> None:
        self._stage = ""
        self._bar = Progress(1, "")

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage != self._stage:
            self._stage = stage
            self._bar = Progress(total, f"searches, {stage}")
            if total == 1:
                note(f"{stage} ...")
        if total > 1:
            self._bar.update(done)
        elif not total:
            note(f"{stage}: trial {done} ...")
