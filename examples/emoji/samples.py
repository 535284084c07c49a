"""Makes the pictures that ship with the package from the one vendor that the bundle never saw.

    python examples/emoji/samples.py data/emoji

Every fifth Fluent emoji goes to ``cnnrnn/samples/emoji`` with its caption: what the parity gate decodes when
no folder is given, and a small test set. ``cnnrnn/samples/demo`` holds the demo's eight.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "cnnrnn"
EVERY = 5
DEMO = (
    "cat face",
    "rocket",
    "pizza",
    "guitar",
    "umbrella with rain drops",
    "octopus",
    "four leaf clover",
    "sailboat",
)
LICENCE = """\
The pictures in this folder are Fluent Emoji (flat), Copyright (c) Microsoft Corporation, MIT licence
(https://github.com/microsoft/fluentui-emoji/blob/main/LICENSE), rendered from the npm package
@iconify-json/fluent-emoji-flat. The captions are the Unicode CLDR short names (Unicode License V3).
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="the folder that fetch.py wrote")
    fluent = parser.parse_args().source / "fluent"
    captions = json.loads((fluent / "captions.json").read_text(encoding="utf-8"))
    by_name = {texts[0]: file for file, texts in captions.items()}
    demo = [by_name[name] for name in DEMO]
    sample = [file for file in sorted(captions)[::EVERY] if file not in demo]
    write(fluent, PACKAGE / "samples" / "emoji", {file: file for file in sample}, captions)
    write(fluent, PACKAGE / "samples" / "demo", {file: by_name_of(captions, file) for file in demo}, captions)
    (PACKAGE / "samples" / "LICENCE.txt").write_text(LICENCE, encoding="utf-8")


def by_name_of(captions: dict[str, list[str]], file: str) -> str:
    """A file name that a person can read."""
    return captions[file][0].replace(" ", "-") + ".png"


def write(source: Path, target: Path, files: dict[str, str], captions: dict[str, list[str]]) -> None:
    """Copies pictures under new names, with their captions.json."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for old, new in files.items():
        shutil.copy(source / old, target / new)
    table = {new: captions[old] for old, new in files.items()}
    text = json.dumps(table, ensure_ascii=False, indent=0, sort_keys=True)
    (target / "captions.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
