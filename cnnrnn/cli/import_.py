"""Turn a checkpoint of somebody else's program into a bundle, behind the parity gate.

--as says whose: sgrvinod (a-PyTorch-Tutorial-to-Image-Captioning), ruotianluo (ImageCaptioning.pytorch), or
keys: any state dict, with a TOML file that says which tensor is which. Nothing in a checkpoint is ever run:
one that holds pickled objects is refused, with the three lines that save its tensors alone.
docs/import.md has an example of each. The gates are those of `cnnrnn export`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cnnrnn.cli.gate import (
    Stages,
    add_gate_arguments,
    check_gate_arguments,
    lowering_options,
    tell_result,
)
from cnnrnn.core import extras
from cnnrnn.core.errors import OptionsError

if TYPE_CHECKING:
    from cnnrnn.export.imports import ImportOptions

LAYOUTS = ("sgrvinod", "ruotianluo", "keys")
# Fields of `ImportOptions` that not every layout has a use for.
OF_A_LAYOUT = ("vocabulary", "options", "cnn", "cnn_style", "keys", "grid")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """CHECKPOINT and BUNDLE, the layout, what it needs beside the file, and the options of the gates."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", type=Path, help="torch's file, or safetensors")
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="the folder to write")
    parser.add_argument(
        "--as", dest="layout", required=True, choices=LAYOUTS, help="the program that wrote the checkpoint"
    )
    _add_files(parser.add_argument_group("what the checkpoint does not hold"))
    _add_picture(parser.add_argument_group("the picture"))
    add_gate_arguments(parser, name="the file's", others="none")


def _add_files(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--vocabulary",
        type=Path,
        metavar="FILE",
        required=True,
        help="sgrvinod: WORDMAP_*.json; ruotianluo: cocotalk.json, or the infos as JSON; keys: JSON of words "
        "and ids, a list, a word a line (.txt), or a tokenizer.json",
    )
    group.add_argument(
        "--options",
        type=Path,
        metavar="FILE",
        help="ruotianluo: the training's options, or the infos, as JSON (default: those in --vocabulary)",
    )
    group.add_argument(
        "--cnn",
        type=Path,
        metavar="FILE",
        help="ruotianluo: the state dict of the ResNet whose features it was trained on",
    )
    group.add_argument(
        "--cnn-style",
        choices=("caffe", "torchvision"),
        help="ruotianluo: where that ResNet has its strides: caffe, as the program's own, or torchvision "
        "(default: caffe)",
    )
    group.add_argument("--keys", type=Path, metavar="MAP.toml", help="keys: which tensor is which")
    group.add_argument(
        "--grid",
        type=_sides,
        metavar="ROWSxCOLUMNS",
        help="sgrvinod, ruotianluo: what the CNN's features are pooled to (default: 14x14)",
    )


def _add_picture(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--image-size",
        type=_sides,
        metavar="HEIGHTxWIDTH",
        help="of the encoder's picture, in pixels (default: sgrvinod 256x256, ruotianluo 448x448, keys as "
        "the map says)",
    )
    for name in ("mean", "std"):
        group.add_argument(
            f"--{name}",
            type=_colour,
            metavar="R,G,B",
            help="of normalisation, in the unit interval (default: ImageNet's)",
        )
    group.add_argument(
        "--resize",
        choices=("letterbox", "stretch", "crop", "line"),
        help="how a picture is fitted (default: stretch, as these programs do)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Import, then print the gates' reports.

    Raises:
        OptionsError: a file does not exist, a bundle was not to be replaced, or flags contradict.
        ParityError: a gate did not open; nothing is written.
        CnnrnnError: as `cnnrnn.export.imports.import_checkpoint`.
    """
    extras.require("torch", "export")
    _check(arguments)
    check_gate_arguments(arguments)
    lowering = lowering_options(arguments)
    from cnnrnn.export.imports import import_checkpoint

    report = import_checkpoint(
        arguments.checkpoint,
        arguments.bundle,
        arguments.layout,
        options=_options(arguments),
        progress=Stages(),
        name=arguments.name,
        summary=arguments.summary,
        license=arguments.license,
        pictures=arguments.pictures,
        weight_storage=arguments.weights,
        lowering=lowering,
    )
    tell_result(arguments, report.to_dict(), str(report))
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuse, by the flags' names, what the layout lacks or has no use for, and files that do not exist."""
    from cnnrnn.export.imports import LAYOUTS as layouts

    layout = layouts[arguments.layout]
    for name in OF_A_LAYOUT:
        flag = f"--{name.replace('_', '-')}"
        value = getattr(arguments, name)
        if value is None and name in layout.needs:
            raise OptionsError(f"--as {arguments.layout} needs {flag}; cnnrnn import --help says what it is")
        if value is not None and name not in (*layout.needs, *layout.takes):
            raise OptionsError(f"{flag} is not for --as {arguments.layout}; leave it out")
    if not arguments.checkpoint.exists():
        raise OptionsError(
            f"there is no checkpoint {arguments.checkpoint}; give the file that the training wrote"
        )


def _options(arguments: argparse.Namespace) -> ImportOptions:
    from cnnrnn.export.imports import ImportOptions

    return ImportOptions(
        **{name: getattr(arguments, name) for name in OF_A_LAYOUT},
        size=arguments.image_size,
        mean=arguments.mean,
        std=arguments.std,
        resize=arguments.resize,
    )


def _sides(text: str) -> tuple[int, int]:
    first, _, second = text.lower().partition("x")
    try:
        sides = int(first), int(second or first)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; give one such as 14 or 14x14") from None
    if min(sides) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is below 1; give a size such as 14 or 14x14")
    return sides


def _colour(text: str) -> tuple[float, float, float]:
    read: Callable[[str], float] = float
    try:
        red, green, blue = (read(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not three numbers with , between them") from None
    return red, green, blue
