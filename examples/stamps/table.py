"""What each part of the recipe gains on the stamps, in one table: docs/stamps.md.

    python examples/stamps/table.py --data data/stamps --runs runs

Trains the recipe without a part after another, from the least to the whole, and scores each on the pictures
that none has seen, beside the floor of the nearest known picture. A run that was cut short goes on; a
finished one is not trained again. Twenty minutes a run on two idle cores.
"""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cnnrnn.data.readers import read_captions
from cnnrnn.evaluation import evaluate, score_captions
from cnnrnn.export import export_checkpoint
from cnnrnn.models import ModelConfig, build_encoder
from cnnrnn.training import TrainConfig, train
from cnnrnn.training.nearest import nearest_captions
from cnnrnn.training.scst_config import ScstConfig

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "stamps.md"
SHOWN = ("cider", "bleu_1", "bleu_4", "rouge_l")

log = logging.getLogger("stamps.table")


@dataclass(frozen=True)
class Part:
    """A row of the table.

    Attributes:
        run: the name of its run; rows of one run differ in the search.
        model: what is different in the recipe's model.
        rewarded: whether the second stage is trained.
        beams: the beam width.
    """

    name: str
    run: str
    model: dict[str, Any] = field(default_factory=dict)
    rewarded: bool = False
    beams: int = 1


PARTS = (
    Part(
        "random trunk, no attention, greedy",
        "scratch",
        {"pretrained": False, "frozen_blocks": 0, "attention": "none"},
    ),
    Part("+ the trunk's ImageNet weights", "pretrained", {"attention": "none"}),
    Part("+ attention", "attention"),
    Part("+ beam 5", "attention", beams=5),
    Part("+ self-critical training", "whole", rewarded=True, beams=5),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path("data/stamps"), help="the folder that fetch.py wrote"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where checkpoints are kept")
    parser.add_argument("--results", type=Path, default=HERE / "results.json", help="the scores as JSON")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    config = TrainConfig.load(HERE / "stamps.toml")
    results = {"floor": floor(config, options.data)}
    for part in PARTS:
        results[part.name] = scored(part, config, options.data, options.runs.resolve())
        log.info("%s: %s", part.name, json.dumps(results[part.name]))
    options.results.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(results), encoding="utf-8")


def scored(part: Part, config: TrainConfig, data: Path, runs: Path) -> dict[str, Any]:
    """Trains and exports where that is not done, and scores the bundle."""
    run = runs / f"stamps-{part.run}"
    recipe = replace(
        config,
        output=str(run),
        model=replace(config.model, **part.model),
        scst=config.scst if part.rewarded else ScstConfig(),
    )
    last = train(recipe, resume=(run / "last.pt").exists(), progress_bar=True).last
    bundle = run / "bundle"
    if not (bundle / "manifest.json").is_file():
        export_checkpoint(
            last, bundle, name=f"stamps-{part.run}", pictures=data / "test", weight_storage="fp16"
        )
    evaluation = evaluate(bundle, [data / "test"], beams=part.beams).to_dict()
    kept = {name: evaluation[name] for name in SHOWN}
    return {**kept, "cider_interval": evaluation["intervals"]["cider"]}


def floor(config: TrainConfig, data: Path) -> dict[str, Any]:
    """The nearest known picture's sentence, by the trunk as ImageNet left it."""
    known, unknown = read_captions(data / "train"), read_captions(data / "test")
    encoder = build_encoder(ModelConfig(encoder=config.model.encoder, pretrained=True, attention="none"))
    texts = nearest_captions(encoder, config.image, known, unknown)
    scores = score_captions(texts, [sample.captions for sample in unknown])
    return {
        **{name: scores.values[name] for name in SHOWN},
        "cider_interval": list(scores.intervals["cider"]),
        "pictures": len(unknown),
        "known": len(known),
    }


def page(results: dict[str, Any]) -> str:
    """The document."""
    lines = [
        "| | CIDEr-D | 95 % interval | BLEU-1 | BLEU-4 | ROUGE-L |",
        "|---|---|---|---|---|---|",
        *(row(name, scores) for name, scores in results.items() if name != "floor"),
        row("the nearest known picture's sentence", results["floor"]),
    ]
    text = (HERE / "page.md").read_text(encoding="utf-8")
    numbers = {name: results["floor"][name] for name in ("pictures", "known")}
    return text.format(table="\n".join(lines), **numbers)


def row(name: str, scores: dict[str, Any]) -> str:
    low, high = scores["cider_interval"]
    others = " | ".join(f"{scores[metric]:.3f}" for metric in SHOWN[1:])
    return f"| {name} | {scores['cider']:.3f} | {low:.3f} to {high:.3f} | {others} |"


if __name__ == "__main__":
    main()
