"""Writes the lines that translations are judged with: phrases, and combinations, that none was trained on.

    python examples/translate/testset.py data/translate/test --count 1000

Makes a folder ``phrases`` and one ``combinations``, each with ``captions.json``, PNG files in fonts that none
was trained on, and ``lines.json``: of each picture the language and the text that stands on it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from translate import DATA, PARTS, Phrases, Translations

SEED = 7


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", type=Path, help="folder to write")
    parser.add_argument("--count", type=int, default=1000, help="lines of each part (default: %(default)s)")
    parser.add_argument("--look", default="mixed", help="of the lines (default: %(default)s)")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder with lines and translate")
    options = parser.parse_args()
    for part in PARTS[1:]:
        drawn = Translations(part, "test", options.look, str(options.data))
        write(options.target / part, Phrases(part, options.data / "translate"), drawn, options.count)


def write(folder: Path, phrases: Phrases, drawn: Translations, count: int) -> None:
    """A folder of pictures, each of another line."""
    folder.mkdir(parents=True, exist_ok=True)
    captions: dict[str, list[str]] = {}
    lines: dict[str, dict[str, str]] = {}
    texts: set[str] = set()
    index = 0
    while len(captions) < count:
        random = np.random.default_rng((SEED, 0, index))
        index += 1
        language, text, english = phrases(random)
        if text in texts:
            continue
        texts.add(text)
        name = f"{len(captions):05}.png"
        cv2.imwrite(str(folder / name), drawn.picture(text, random)[..., ::-1])
        captions[name], lines[name] = [english], {"language": language, "text": text}
    for file, content in (("captions.json", captions), ("lines.json", lines)):
        text = json.dumps(content, ensure_ascii=False, indent=0)
        (folder / file).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
