"""How good the translations are, beside two floors, in one table: docs/translate.md.

    python examples/translate/table.py translate --data data/translate/test

The floors are the nearest known picture, by the distance of pixels, and Tesseract with a phrase table: what
it read is looked up among training phrases, and where it is not there, the one of fewest edits is taken. A
bundle that is `-` gives the floors alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein
from sacrebleu.metrics import BLEU, CHRF
from translate import DATA, Phrases, Translations

from cnnrnn.data.readers import read_captions
from cnnrnn.evaluation import Bootstrap, evaluate
from cnnrnn.runtime.image import read_image

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "read"))
from tesseract import tesseract  # noqa: E402

PAGE = HERE.parents[1] / "docs" / "translate.md"
LANGUAGES = "deu+fra+spa+ita+nld"
SEED = 11
SMALL = (192, 16)
"""Columns and rows in which pixels are compared."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", help="a folder or a shipped bundle's name, or - for the floors alone")
    parser.add_argument("--data", type=Path, default=DATA / "translate" / "test", help="testset.py's folder")
    parser.add_argument("--known", type=int, default=100_000, help="training phrases of the phrase table")
    parser.add_argument(
        "--pictures", type=int, default=10_000, help="training pictures of the nearest picture"
    )
    parser.add_argument("--results", type=Path, default=HERE / "results.json", help="the scores as JSON")
    parser.add_argument("--page", type=Path, default=PAGE, help="the document to write")
    options = parser.parse_args()
    phrases = phrase_table(Phrases("train", DATA / "translate"), options.known)
    nearest = nearest_picture(Translations(), options.pictures)
    results: dict[str, Any] = {"known": len(phrases), "pictures": options.pictures, "parts": {}}
    for folder in (options.data / "phrases", options.data / "combinations"):
        readers: dict[str, Callable[[Path], list[str]]] = {
            "nearest known picture": nearest,
            "Tesseract and a phrase table": lambda data: by_phrase_table(data, phrases),
        }
        if options.bundle != "-":
            readers[options.bundle] = lambda data: by_bundle(options.bundle, data)
        results["parts"][folder.name] = {name: scored(reader, folder) for name, reader in readers.items()}
    options.results.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    options.page.write_text(page(results), encoding="utf-8")


def scored(reader: Callable[[Path], list[str]], folder: Path) -> dict[str, Any]:
    """A reader's scores on a folder, and the milliseconds of a line, its start among them."""
    references = [sample.captions[0] for sample in read_captions(folder)]
    began = time.perf_counter()
    texts = reader(folder)
    ms = 1000 * (time.perf_counter() - began) / len(references)
    return {**scores(texts, references), "ms": ms}


def scores(texts: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
    """Exact match with its interval, and sacrebleu's chrF and BLEU of the whole, from 0 to 100."""
    equal = np.array([text == reference for text, reference in zip(texts, references, strict=True)], float)
    intervals = Bootstrap().intervals(len(equal), lambda drawn: {"exact": float(drawn @ equal) / len(equal)})
    return {
        "lines": len(equal),
        "exact_match": float(equal.mean()),
        "exact_match_interval": list(intervals["exact"]),
        "chrf": CHRF().corpus_score(list(texts), [list(references)]).score,
        "bleu": BLEU().corpus_score(list(texts), [list(references)]).score,
    }


def phrase_table(phrases: Phrases, draws: int) -> dict[str, str]:
    """Training lines with their English, of so many draws."""
    found: dict[str, str] = {}
    for index in range(draws):
        _, text, english = phrases(np.random.default_rng((SEED, 0, index)))
        found.setdefault(text, english)
    return found


def by_phrase_table(folder: Path, phrases: dict[str, str]) -> list[str]:
    """Tesseract's text looked up, or the nearest by edits."""
    pictures = [Path(str(sample.image)) for sample in read_captions(folder)]
    known = list(phrases)
    found = []
    for text in tesseract(pictures, LANGUAGES).texts:
        if text not in phrases:
            text = process.extractOne(text, known, scorer=Levenshtein.distance)[0]
        found.append(phrases[text])
    return found


def nearest_picture(drawn: Translations, count: int) -> Callable[[Path], list[str]]:
    """Answers with the English of the nearest training picture."""
    draws = [drawn(index, np.random.default_rng((SEED, 0, index))) for index in range(count)]
    known = np.stack([small(picture()) for picture, _ in draws])
    english = [text for _, text in draws]

    def answer(folder: Path) -> list[str]:
        asked = np.stack([small(read_image(Path(str(sample.image)))) for sample in read_captions(folder)])
        return [english[number] for number in (asked @ known.T).argmax(axis=1)]

    return answer


def small(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A picture as a unit vector of few pixels, dark ink or light: the larger the product, the nearer."""
    height, width = picture.shape[:2]
    columns = max(1, min(SMALL[0], round(width * SMALL[1] / height)))
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    shrunk = cv2.resize(grey, (columns, SMALL[1]), interpolation=cv2.INTER_AREA)
    ink = np.abs(shrunk - np.median(shrunk))
    laid = np.zeros(SMALL[::-1], np.float32)
    laid[:, :columns] = ink - ink.mean()
    vector = laid.ravel()
    return vector / max(1e-6, float(np.linalg.norm(vector)))


def by_bundle(bundle: str, folder: Path) -> list[str]:
    """The bundle's best hypotheses."""
    return [text for _, text, _ in evaluate(bundle, [folder]).captions]


def page(results: dict[str, Any]) -> str:
    """The document."""
    lines = ["| lines | | exact | 95 % interval | chrF | BLEU | ms a line |", "|---|---|---|---|---|---|---|"]
    counts = []
    for part, readers in results["parts"].items():
        counts += [found["lines"] for found in readers.values()][:1]
        for name, found in readers.items():
            exact, (low, high) = found["exact_match"], found["exact_match_interval"]
            lines.append(
                f"| {part} | {name} | {100 * exact:.1f} % | {100 * low:.1f} to {100 * high:.1f} % "
                f"| {found['chrf']:.1f} | {found['bleu']:.1f} | {found['ms']:.0f} |"
            )
    text = (HERE / "page.md").read_text(encoding="utf-8")
    return text.format(
        table="\n".join(lines),
        phrases=counts[0],
        combinations=counts[1],
        known=results["known"],
        pictures=results["pictures"],
    )


if __name__ == "__main__":
    main()
