"""Writes studies of phantoms as R2Gen lays out IU X-Ray: ``annotation.json`` beside ``images/<id>/0.png``.

``python examples/report/phantom.py data/report``. The same seed writes the same bytes.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from examples.report.anatomy import SPLITS, Phantom, draw_phantom
from examples.report.drawing import frontal, lateral
from examples.report.grammar import report

ALONE = 0.1
"""The share of studies without the view from the side."""


def write_studies(folder: Path, counts: dict[str, int], seed: int) -> None:
    """Writes ``counts`` studies of each split.

    Args:
        folder: made where it is not there; studies of the same names in it are written anew.
        counts: of ``train``, ``val`` and ``test``.
        seed: of everything drawn.
    """
    drawn: list[tuple[str, Phantom, int]] = []
    annotation: dict[str, list[dict[str, Any]]] = {}
    for split in SPLITS:
        annotation[split] = []
        for number in range(counts[split]):
            draw = random.Random(f"{seed}/{split}/{number}")
            phantom = draw_phantom(split, draw)
            views = 1 if draw.random() < ALONE else 2
            identity = f"{split}{number:05d}"
            annotation[split].append(
                {
                    "id": identity,
                    "report": report(phantom.study, draw),
                    "image_path": [f"{identity}/{view}.png" for view in range(views)],
                    "split": split,
                }
            )
            drawn.append((identity, phantom, views))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda entry: _write(folder / "images", *entry), drawn))
    text = json.dumps(annotation, indent=1, ensure_ascii=False)
    (folder / "annotation.json").write_text(text + "\n", encoding="utf-8")


def _write(images: Path, identity: str, phantom: Phantom, views: int) -> None:
    place = images / identity
    place.mkdir(parents=True, exist_ok=True)
    for number, view in enumerate((frontal, lateral)[:views]):
        if not cv2.imwrite(str(place / f"{number}.png"), view(phantom)):
            raise OSError(f"cannot write {place / f'{number}.png'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=6000)
    parser.add_argument("--val", type=int, default=500)
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    counts = {split: getattr(arguments, split) for split in SPLITS}
    write_studies(arguments.folder, counts, arguments.seed)


if __name__ == "__main__":
    main()
