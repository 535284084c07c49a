"""Turn a checkpoint into a bundle, behind the parity gate; or give a bundle lower precisions.

Before anything is written, torch and ONNX Runtime caption the pictures, greedily and with a beam; where they
differ by more than a numerical tie, there is no bundle, the report says where, and the exit code is 1.
With --precision the same pictures, 300 at least, are captioned in that precision too, and 99.5 % of the
captions have to be those of fp32. In the place of CHECKPOINT may stand a bundle: its fp32 graphs are lowered.
A bundle that is at BUNDLE already stays as it is, unless --replace is given and the gate opens.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnrnn.cli.output import Progress, note, print_json, print_line
from cnnrnn.core import extras
from cnnrnn.core.bundle import MANIFEST, Bundle, shipped_bundles
from cnnrnn.core.errors import OptionsError

if TYPE_CHECKING:
    from cnnrnn.export import LoweringOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """CHECKPOINT and BUNDLE, and what the manifest says of them."""
    parser.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        type=Path,
        help="a checkpoint that `cnnrnn train` wrote; with --precision also a bundle's folder or name",
    )
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="the folder to write")
    parser.add_argument(
        "--replace", action="store_true", help="put the new bundle in the place of the one at BUNDLE"
    )
    parser.add_argument("--name", help="the bundle's name (default: the checkpoint's)")
    parser.add_argument("--summary", help="one sentence about it (default: the checkpoint's)")
    parser.add_argument(
        "--license", help="the weights' license, by its SPDX name (default: the checkpoint's)"
    )
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
        "--doctor-report", type=Path, metavar="FILE", help="write what the doctor found as an HTML page"
    )


def run(arguments: argparse.Namespace) -> int:
    """Export, then print the gates' reports.

    Raises:
        OptionsError: there is no such checkpoint, a bundle that was not to be replaced, or flags that
            contradict.
        ParityError: a gate did not open; nothing is written.
        CnnrnnError: as `cnnrnn.export.export_checkpoint` and `cnnrnn.export.add_precisions`.
    """
    extras.require("torch", "export")
    source = _bundle(arguments.checkpoint)
    _check(arguments, source)
    from cnnrnn.export import LoweringOptions

    lowering = LoweringOptions(tuple(arguments.precision), arguments.doctor, arguments.doctor_report)
    lowering.check()
    report = _export(arguments, lowering) if source is None else _lower(arguments, lowering, source)
    size = sum(path.stat().st_size for path in arguments.bundle.rglob("*") if path.is_file())
    if arguments.json:
        print_json({"bundle": str(arguments.bundle), "bytes": size, **report.to_dict})
    else:
        print_line(report.text)
        print_line(
            f"wrote {arguments.bundle}, {size / 1e6:.2f} MB; "
            f"try it with: cnnrnn run {arguments.bundle} PICTURE"
        )
    return 0


@dataclass(frozen=True)
class _Told:
    """What the gates said: for a program, and for a person."""

    to_dict: dict[str, Any]
    text: str


def _export(arguments: argparse.Namespace, lowering: LoweringOptions) -> _Told:
    from cnnrnn.export import export_checkpoint

    report = export_checkpoint(
        arguments.checkpoint,
        arguments.bundle,
        progress=_Stages(),
        name=arguments.name,
        summary=arguments.summary,
        license=arguments.license,
        pictures=arguments.pictures,
        weight_storage=arguments.weights,
        lowering=lowering,
    )
    return _Told(report.to_dict(), str(report))


def _lower(arguments: argparse.Namespace, lowering: LoweringOptions, source: Bundle) -> _Told:
    from cnnrnn.export import add_precisions

    reports = add_precisions(
        source, arguments.bundle, lowering, pictures=arguments.pictures, progress=_Stages()
    )
    told = {name: report.to_dict() for name, report in reports.items()}
    return _Told({"precisions": told}, "\n".join(map(str, reports.values())))


def _bundle(path: Path) -> Bundle | None:
    """The bundle that stands in the place of the checkpoint, if it is one."""
    shipped = not path.exists() and str(path) in shipped_bundles()
    return Bundle.open(path) if shipped or (path / MANIFEST).is_file() else None


def _check(arguments: argparse.Namespace, source: Bundle | None) -> None:
    """Refuse what the command line contradicts itself in, before any work."""
    if source is None and not arguments.checkpoint.exists():
        raise OptionsError(
            f"there is no checkpoint {arguments.checkpoint}; give the last.pt or best.pt of a run's folder, "
            "or a bundle"
        )
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
    if source is not None and not arguments.precision:
        raise OptionsError(f"{arguments.checkpoint} is a bundle; give --precision, or a checkpoint")
    for name in ("name", "summary", "license", "weights"):
        if source is not None and getattr(arguments, name) is not None:
            raise OptionsError(
                f"--{name} {getattr(arguments, name)} is for a checkpoint, and {arguments.checkpoint} is a "
                "bundle; leave it out"
            )


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


class _Stages:
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
