"""Tesseract on the same lines as a bundle, with its error rates and its time, one thread each.

    python examples/read/tesseract.py read data/lines/test/clean data/lines/test/degraded

Tesseract 5 is Debian's ``tesseract-ocr``, with the languages' own packages. It is given the pictures as they
are and, since it was made for larger print, twice as large within a border. All pictures of a folder are read
by one process, so that its start is shared by all of them; the bundle is given one picture after another.
Both times hold reading the files. A bundle that is `-` leaves the bundle out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

import cnnrnn
from cnnrnn.data.readers import read_captions
from cnnrnn.evaluation import score_reading

LANGUAGES = ("eng", "deu", "fra", "ita", "spa", "pol", "ron", "nld", "hun", "por")
ENLARGED = 2
BORDER = 10


@dataclass(frozen=True)
class Read:
    """What was read on the pictures of a folder, in their order, and the milliseconds of each on average."""

    texts: list[str]
    ms: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", help="a folder or a shipped bundle's name, or - for none")
    parser.add_argument("data", type=Path, nargs="+", help="folders with captions.json")
    parser.add_argument("--languages", default="+".join(LANGUAGES), help="Tesseract's (default: %(default)s)")
    parser.add_argument("--results", type=Path, help="write the scores as JSON")
    parser.add_argument("--page", type=Path, help="write the table (Markdown)")
    options = parser.parse_args()
    results = {folder.name: judged(options.bundle, folder, options.languages) for folder in options.data}
    if options.results:
        options.results.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if options.page:
        options.page.write_text(table(results) + "\n", encoding="utf-8")
    print(table(results))


def judged(bundle: str, folder: Path, languages: str) -> dict[str, Any]:
    """Scores and times of each reader on a folder's lines."""
    samples = read_captions(folder)
    pictures = [Path(str(sample.image)) for sample in samples]
    references = [sample.captions for sample in samples]
    readers = {
        "Tesseract": tesseract(pictures, languages),
        "Tesseract, enlarged": enlarged(pictures, languages),
    }
    if bundle != "-":
        readers[bundle] = by_bundle(bundle, pictures)
    return {
        name: {**score_reading(read.texts, references).to_dict(), "ms": read.ms}
        for name, read in readers.items()
    }


def tesseract(pictures: Sequence[Path], languages: str) -> Read:
    """Tesseract's text of each picture, as a single line (its page segmentation mode 7).

    Raises:
        SystemExit: it is not installed.
        subprocess.CalledProcessError: it failed.
    """
    if shutil.which("tesseract") is None:
        raise SystemExit("there is no tesseract; apt-get install tesseract-ocr tesseract-ocr-deu and so on")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as listed:
        listed.write("\n".join(str(picture.resolve()) for picture in pictures) + "\n")
        listed.flush()
        began = time.perf_counter()
        done = subprocess.run(
            ["tesseract", listed.name, "stdout", "-l", languages, "--psm", "7"],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},
        )
        ms = 1000 * (time.perf_counter() - began) / len(pictures)
    texts = [" ".join(page.split()) for page in done.stdout.split("\f")[: len(pictures)]]
    if len(texts) != len(pictures):
        raise SystemExit(f"tesseract gave {len(texts)} texts for {len(pictures)} pictures")
    return Read(texts, ms)


def enlarged(pictures: Sequence[Path], languages: str) -> Read:
    """The same of pictures twice as large; enlarging them is not in the time."""
    with tempfile.TemporaryDirectory() as scratch:
        larger = [Path(scratch) / picture.name for picture in pictures]
        for source, target in zip(pictures, larger, strict=True):
            picture = cv2.imdecode(_bytes(source), cv2.IMREAD_COLOR)
            picture = cv2.resize(picture, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
            bordered = cv2.copyMakeBorder(picture, *[BORDER] * 4, cv2.BORDER_REPLICATE)
            cv2.imwrite(str(target), bordered)
        return tesseract(larger, languages)


def _bytes(path: Path) -> Any:
    import numpy as np

    return np.frombuffer(path.read_bytes(), np.uint8)


def by_bundle(bundle: str, pictures: Sequence[Path]) -> Read:
    """A bundle's text of each picture, by one thread of ONNX Runtime."""
    cv2.setNumThreads(1)
    with cnnrnn.load(bundle, threads=1) as model:
        model(pictures[0])
        began = time.perf_counter()
        texts = [model(picture).text for picture in pictures]
        return Read(texts, 1000 * (time.perf_counter() - began) / len(pictures))


def table(results: dict[str, dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| lines | reader | CER | 95 % interval | WER | exact | ms a line |",
        "|---|---|---|---|---|---|---|",
    ]
    for folder, readers in results.items():
        for name, scores in readers.items():
            low, high = scores["intervals"]["cer"]
            lines.append(
                f"| {folder} | {name} | {100 * scores['cer']:.2f} % | {100 * low:.2f} to {100 * high:.2f} % "
                f"| {100 * scores['wer']:.2f} % | {100 * scores['exact_match']:.1f} % | {scores['ms']:.1f} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
