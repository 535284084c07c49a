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

from cnnrnn.cli.gate import (
    Stages,
    add_gate_arguments,
    check_gate_arguments,
    lowering_options,
    tell_result,
)
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
    add_gate_arguments(parser, name="the checkpoint's", others="the checkpoint's")


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
    lowering = lowering_options(arguments)
    report = _export(arguments, lowering) if source is None else _lower(arguments, lowering, source)
    tell_result(arguments, report.to_dict, report.text)
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
        progress=Stages(),
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
        source, arguments.bundle, lowering, pictures=arguments.pictures, progress=Stages()
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
    check_gate_arguments(arguments)
    if source is not None and not arguments.precision:
        raise OptionsError(f"{arguments.checkpoint} is a bundle; give --precision, or a checkpoint")
    for name in ("name", "summary", "license", "weights"):
        if source is not None and getattr(arguments, name) is not None:
            raise OptionsError(
                f"--{name} {getattr(arguments, name)} is for a checkpoint, and {arguments.checkpoint} is a "
                "bundle; leave it out"
            )
