"""Writes what the card of the bundle `emoji` says beyond its evaluation, of what leave_one_out.py measured.

    python examples/emoji/notes.py runs/emoji/notes.md

`cnnrnn eval --card-notes` puts it into the card.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
VENDORS = {"noto": "Noto (Google)", "twemoji": "Twemoji (Twitter)", "openmoji": "OpenMoji"}
FLOORS = (
    ("nearest picture, ImageNet trunk", "floor_nearest_imagenet_trunk"),
    ("nearest picture, the run's own trunk", "floor_nearest_trained_trunk"),
    ("most frequent name", "floor_most_frequent"),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", type=Path, help="the file to write, Markdown")
    parser.parse_args().target.write_text(notes(), encoding="utf-8")


def notes() -> str:
    """The notes, with the table of the results."""
    held_out = {VENDORS[vendor]: result(f"without-{vendor}") for vendor in VENDORS}
    exact = [scores["exact_match"] for scores in held_out.values()]
    text = (HERE / "notes.md").read_text(encoding="utf-8")
    return text.format(
        table=table({**held_out, "Fluent (Microsoft), the shipped weights": result("fluent")}),
        mean=f"{100 * sum(exact) / len(exact):.1f}",
        epochs=next(iter(held_out.values()))["epochs"],
    )


def result(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((HERE / "results" / f"{name}.json").read_text(encoding="utf-8"))
    return content


def table(results: dict[str, dict[str, Any]]) -> str:
    """One block of rows a vendor: the bundle, then its floors."""
    lines = ["| vendor | | exact match | BLEU-4 | CIDEr |", "|---|---|---|---|---|"]
    for vendor, scores in results.items():
        low, high = scores["intervals"]["exact_match"]
        name = f"**the captioner, beam {scores['beams']}** ({100 * low:.1f} to {100 * high:.1f} %)"
        lines.append(row(f"{vendor}: {scores['pictures']} pictures", name, scores))
        lines.extend(row("", floor, scores[key]) for floor, key in FLOORS)
    return "\n".join(lines)


def row(vendor: str, name: str, scores: dict[str, Any]) -> str:
    return (
        f"| {vendor} | {name} | {100 * scores['exact_match']:.1f} % | {100 * scores['bleu_4']:.1f} "
        f"| {scores['cider']:.2f} |"
    )


if __name__ == "__main__":
    main()
