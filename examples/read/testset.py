"""Writes the lines that readers are judged with: fonts and words that none was trained on, fixed by the seed.

    python examples/read/testset.py data/lines/test --count 1000

Makes a folder ``clean`` and one ``degraded``, each with ``captions.json`` and PNG files, of the same texts.
"""

from __future__ import annotations

import argparse
import json
import unicodedata
from pathlib import Path

import cv2
import numpy as np
from lines import DATA, Lines

SEED = 7
LOOKS = ("clean", "degraded")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", type=Path, help="folder to write")
    parser.add_argument("--count", type=int, default=1000, help="lines of each look (default: %(default)s)")
    parser.add_argument("--part", default="test", help="of fonts and words: test (default) or train")
    parser.add_argument("--data", default=str(DATA), help="the folder that fetch.py wrote")
    options = parser.parse_args()
    for look in LOOKS:
        write(options.target / look, Lines(options.part, look, options.data), options.count)


def write(folder: Path, lines: Lines, count: int) -> None:
    """A folder of pictures with ``captions.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    captions = {}
    for index in range(count):
        picture, text = lines(index, np.random.default_rng((SEED, 0, index)))
        name = f"{index:05}.png"
        cv2.imwrite(str(folder / name), picture()[..., ::-1])
        captions[name] = [unicodedata.normalize("NFC", text)]
    (folder / "captions.json").write_text(
        json.dumps(captions, ensure_ascii=False, indent=0) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
