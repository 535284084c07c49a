"""Write what is on each picture.

IMAGE is a picture, a folder (every picture under it), or - for one picture's bytes on standard input.
A picture that cannot be used is reported in its place, the others are answered, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cnnrnn.cli import options
from cnnrnn.cli.output import note, print_json, print_line
from cnnrnn.core import extras
from cnnrnn.core.errors import OptionsError
from cnnrnn.core.samples import pictures_in

MAX_STDIN_BYTES = 256 * 1024**2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """BUNDLE, IMAGE and the options of the engine and the search."""
    options.add_bundle(parser)
    parser.add_argument(
        "images", metavar="IMAGE", nargs="+", help="a picture, a folder of them, or - for standard input"
    )
    parser.add_argument(
        "--batch",
        type=int,
        default=1,
        metavar="B",
        help="pictures that go through the model together (default: 1)",
    )
    options.add_engine(parser)
    options.add_search(parser)


def run(arguments: argparse.Namespace) -> int:
    """Answer every picture in the order given.

    Raises:
        OptionsError: a batch below 1, or a folder without a picture.
        CnnrnnError: the bundle or the engine cannot be used.
    """
    if arguments.batch < 1:
        raise OptionsError(f"--batch is {arguments.batch}; give 1 or more")
    sources = list(_sources(arguments.images))
    from cnnrnn.runtime.model import load

    extras.require_cv2()  # now, so that its import is not a part of the first picture's time
    failed = 0
    chosen = options.search_options(arguments)
    with load(
        arguments.bundle, backend=arguments.backend, precision=arguments.precision, threads=arguments.threads
    ) as model:
        for start in range(0, len(sources), arguments.batch):
            part = sources[start : start + arguments.batch]
            pictures = [source for _, source in part]
            if len(pictures) == 1:
                answers = [model(pictures[0], errors="return", **chosen)]
            else:
                answers = model(pictures, errors="return", **chosen)
            for (name, _), answer in zip(part, answers, strict=True):
                failed += _show(name, answer, arguments.json)
    if failed:
        note(f"cnnrnn: {failed} of {len(sources)} pictures could not be used")
    return 1 if failed else 0


def _sources(images: list[str]) -> Iterator[tuple[str, Path | bytes]]:
    """Each picture's name and what the model is given for it."""
    for image in images:
        path = Path(image)
        if image == "-":
            yield image, sys.stdin.buffer.read(MAX_STDIN_BYTES)
        elif path.is_dir():
            found = pictures_in(path)
            if not found:
                raise OptionsError(f"folder {image} holds no picture")
            yield from ((str(picture), picture) for picture in found)
        else:
            yield image, path


def _show(name: str, answer: Any, as_json: bool) -> int:
    """Print one answer; 1 where it is an error."""
    if isinstance(answer, Exception):
        if as_json:
            print_json({"image": name, "error": str(answer), "kind": type(answer).__name__})
        note(f"cnnrnn: {name}: {answer}")
        return 1
    if as_json:
        print_json({**answer.to_dict(), "image": name})
    else:
        print_line(f"{name}: {answer.text}  ({answer.score:.3f}, {answer.timings_ms['total']:.1f} ms)")
    return 0
