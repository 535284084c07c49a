"""Turn a checkpoint into a bundle, behind the parity gate.

Before anything is written, torch and ONNX Runtime caption the pictures, greedily and with a beam; where they
differ by more than a numerical tie, there is no bundle, the report says where, and the exit code is 1.
A bundle that is at BUNDLE already stays as it is, unless --replace is given and the gate opens.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from cnnrnn.cli.output import Progress, note, print_json, print_line
from cnnrnn.core import extras
from cnnrnn.core.bundle import MANIFEST
from cnnrnn.core.errors import OptionsError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """CHECKPOINT and BUNDLE, and what the manifest says of them."""
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", type=Path, help="a checkpoint that `cnnrnn train` wrote"
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
        help="at least 100 pictures for the gate to caption (default: the shipped samples)",
    )
    parser.add_argument(
        "--weights",
        choices=("fp32", "fp16"),
        help="how weights are stored; fp16 halves the files and is widened on loading (default: fp32)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Export, then print the gate's report.

    Raises:
        OptionsError: there is no such checkpoint, or a bundle that was not to be replaced.
        ParityError: the gate did not open; nothing is written.
        CnnrnnError: as `cnnrnn.export.export_checkpoint`.
    """
    extras.require("torch", "export")
    if not arguments.checkpoint.exists():
        raise OptionsError(
            f"there is no checkpoint {arguments.checkpoint}; give the last.pt or best.pt of a run's folder"
        )
    if not arguments.replace and (arguments.bundle / MANIFEST).exists():
        raise OptionsError(
            f"{arguments.bundle} holds a bundle already; give --replace to put the new one in its place, or "
            "another folder"
        )
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
    )
    size = sum(path.stat().st_size for path in arguments.bundle.rglob("*") if path.is_file())
    if arguments.json:
        print_json({"bundle": str(arguments.bundle), "bytes": size, **report.to_dict()})
    else:
        print_line(str(report))
        print_line(
            f"wrote {arguments.bundle}, {size / 1e6:.2f} MB; "
            f"try it with: cnnrnn run {arguments.bundle} PICTURE"
        )
    return 0


class _Stages:
    """The export's progress: a bar for each stage that counts, a line for one that does not.

    What the parity stage counts are searches: each picture is searched once for each beam width.
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
