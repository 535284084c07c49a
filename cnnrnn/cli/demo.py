"""Caption the pictures that are shipped, and write a page that shows how.

The page is one file with everything in it: each picture, its caption, the other captions that were considered
with their scores, and where the decoder looked at each word.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import cnnrnn
from cnnrnn.cli import options
from cnnrnn.cli.output import note, note_unusable, print_json, print_line, table
from cnnrnn.core import extras, machine
from cnnrnn.core.errors import CnnrnnError, ImageError, OptionsError
from cnnrnn.core.samples import package_data, pictures_in
from cnnrnn.core.storage import check_folder_of

if TYPE_CHECKING:
    from cnnrnn.cli.page import Answered
    from cnnrnn.runtime.model import Model
    from cnnrnn.runtime.result import Result

STAGES = ("decode", "preprocess", "encoder", "step", "select", "backtrace", "total")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The bundle, the pictures, the page; and the options of the engine and the search."""
    parser.add_argument(
        "--bundle", default="emoji", help="a folder, or the name of a shipped bundle (default: emoji)"
    )
    parser.add_argument(
        "--pictures",
        type=Path,
        help="a folder of other pictures to caption (default: the eight that are shipped)",
    )
    parser.add_argument(
        "--output", type=Path, default=Path("demo.html"), help="the page to write (default: %(default)s)"
    )
    options.add_engine(parser)
    options.add_search(parser)
    parser.set_defaults(beams=5)


def run(arguments: argparse.Namespace) -> int:
    """Caption, print a table (or JSON lines), write the page.

    Raises:
        OptionsError: there is no such folder of pictures, or it holds none.
        CnnrnnError: the bundle or the engine cannot be used, or the page cannot be written.
    """
    check_folder_of(arguments.output)
    folder = arguments.pictures or package_data("samples") / "demo"
    if not folder.is_dir():
        raise OptionsError(f"there is no folder {folder}; give one with pictures")
    pictures = pictures_in(folder)
    if not pictures:
        raise OptionsError(f"folder {folder} holds no picture")
    from cnnrnn.cli.page import Answered, write_page

    extras.require_cv2()  # now, so that its import is not a part of the first picture's time
    with options.load_model(arguments) as model:
        if model.manifest.question is not None:
            example = model.manifest.question.examples[0]
            raise OptionsError(
                f"--bundle {arguments.bundle}: it answers questions about pictures, and the demo asks none; "
                f"see cnnrnn run {arguments.bundle} PICTURE --question {example!r}"
            )
        chosen = options.search_options(arguments, model)
        results = [(path, model(path, errors="return", **chosen.keywords)) for path in pictures]
        broken = [(path, result) for path, result in results if isinstance(result, CnnrnnError)]
        names = _names(folder)
        answered = [
            Answered(path, result, facts=_called(result, names.get(path.name, ())))
            for path, result in results
            if not isinstance(result, CnnrnnError)
        ]
        for path, error in broken:
            note_unusable(str(path), error)
        if not answered:
            raise ImageError(
                f"none of the {len(pictures)} pictures in {folder} could be used; nothing was written"
            )
        write_page(arguments.output, answered, model.manifest, _about(model, answered))
    if arguments.json:
        for item in answered:
            line = {**item.result.to_dict(), "image": str(item.path), "reason": chosen.reason(item.result)}
            print_json(line)
    else:
        _print(answered, names)
    note(f"wrote {arguments.output}: open it in a browser to see where the decoder looked")
    return 1 if broken else 0


def _print(answered: list[Answered], names: Mapping[str, tuple[str, ...]]) -> None:
    rows: list[tuple[str, ...]] = [("picture", "text", "score", *STAGES)]
    for item in answered:
        timings = item.result.timings_ms
        rows.append(
            (
                item.path.name,
                item.result.text,
                f"{item.result.score:.3f}",
                *(f"{timings.get(stage, 0.0):.1f}" for stage in STAGES),
            )
        )
    for line in table(rows, right=frozenset(range(2, len(rows[0])))):
        print_line(line)
    print_line("(times in milliseconds)")
    named = [item for item in answered if item.path.name in names]
    wrong = [item for item in named if item.facts]
    if named:
        print_line(f"{len(named) - len(wrong)} of {len(named)} are what the pictures are called")
    for item in wrong:
        print_line(f"  {item.path.name} is called: {', '.join(names[item.path.name])}")


def _called(result: Result, names: tuple[str, ...]) -> tuple[str, ...]:
    """What to say beside an answer that is none of the picture's names."""
    return (f"called {', '.join(names)}",) if names and result.text not in names else ()


def _names(folder: Path) -> dict[str, tuple[str, ...]]:
    """What the folder's ``captions.json`` calls its pictures, where there is one that can be read."""
    try:
        listed = json.loads((folder / "captions.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(listed, dict):
        return {}
    return {
        name: tuple(map(str, names if isinstance(names, list) else [names])) for name, names in listed.items()
    }


def _about(model: Model, answered: list[Answered]) -> dict[str, str]:
    manifest, result = model.manifest, answered[0].result
    facts = {
        "bundle": f"{manifest.name}, {sum(file.bytes for file in manifest.files.values()) / 1e6:.1f} MB",
        "license of the bundle": manifest.license,
        "engine": f"{result.backend}, {result.precision}",
        "processor": f"{machine.processor()}, {os.cpu_count()} cores",
        "search": f"beam {len(result.hypotheses)}",
        "made by": f"cnnrnn {cnnrnn.__version__}",
    }
    return {name: value for name, value in facts.items() if value}
