"""Writes the bundle's model card, docs/emoji.md, from the results that leave_one_out.py measured.

python examples/emoji/card.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
VENDORS = {"noto": "Noto (Google)", "twemoji": "Twemoji (Twitter)", "openmoji": "OpenMoji"}
FLOORS = (
    ("nearest picture, ImageNet trunk", "floor_nearest_imagenet_trunk"),
    ("nearest picture, the run's own trunk", "floor_nearest_trained_trunk"),
    ("most frequent name", "floor_most_frequent"),
)


def main() -> None:
    (ROOT / "docs" / "emoji.md").write_text(card(), encoding="utf-8")


def card() -> str:
    """The page."""
    manifest = json.loads((ROOT / "cnnrnn/bundles/emoji/manifest.json").read_text(encoding="utf-8"))
    held_out = {vendor: result(f"without-{vendor}") for vendor in VENDORS}
    return (
        (HERE / "card.md")
        .read_text(encoding="utf-8")
        .format(
            table=table({VENDORS[vendor]: scores for vendor, scores in held_out.items()}),
            mean=f"{100 * sum(scores['exact_match'] for scores in held_out.values()) / len(held_out):.1f}",
            epochs=next(iter(held_out.values()))["epochs"],
            shipped_epochs=manifest["provenance"]["training"]["training"]["epochs"],
            fluent=table({"Fluent (Microsoft)": result("fluent")}),
            parity=parity(manifest["parity"]),
            half=half(manifest["parity"]["precisions"]["fp16"]),
            mebibytes=f"{sum(file['bytes'] for file in manifest['files'].values()) / 2**20:.1f}",
        )
    )


def result(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((HERE / "results" / f"{name}.json").read_text(encoding="utf-8"))
    return content


def table(results: dict[str, dict[str, Any]]) -> str:
    """One block of rows a vendor: the bundle, then its floors."""
    lines = ["| vendor | | exact match | BLEU-4 | CIDEr |", "|---|---|---|---|---|"]
    for vendor, scores in results.items():
        lines.append(row(f"{vendor}, {scores['pictures']} pictures", "**the captioner, beam 5**", scores))
        lines.extend(row("", name, scores[key]) for name, key in FLOORS)
    return "\n".join(lines)


def row(vendor: str, name: str, scores: dict[str, float]) -> str:
    return (
        f"| {vendor} | {name} | {100 * scores['exact_match']:.1f} % | {100 * scores['bleu_4']:.1f} "
        f"| {scores['cider']:.2f} |"
    )


def parity(report: dict[str, Any]) -> str:
    searches = ", ".join(
        f"beam {search['beams']}: {search['identical']} of {search['pictures']} identical"
        for search in report["searches"]
    )
    storage = report["storage"]
    return (
        f"{searches}. Rounding the weights to fp16 left {storage['same_caption']} of {storage['pictures']} "
        "greedy captions as they were"
    )


def half(report: dict[str, Any]) -> str:
    """How many captions of the fp16 graphs are fp32's, where every tensor is rounded as on a GPU."""
    searches = ", ".join(
        f"beam {search['beams']}: {search['identical']} of {search['pictures']} as fp32"
        for search in report["runs"]["stored"]["searches"]
    )
    pinned = sum(map(len, report["pinned"].values()))
    return f"{searches}, every tensor rounded as on a GPU; {pinned or 'no'} nodes had to be kept in float32"


if __name__ == "__main__":
    main()
