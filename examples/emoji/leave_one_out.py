"""Judges the emoji recipe on vendors that it was not trained on, and writes the table of the model card.

    python examples/emoji/leave_one_out.py --data data/emoji --runs runs --epochs 9

For each of the three vendors that draw every emoji: trains on the sets of all others, exports, captions this
vendor's with the exported bundle at beam 5, and scores it beside its floors. A run that was cut short goes
on, a finished one is not trained again. ``--shipped BUNDLE`` scores that bundle on Fluent, which no run sees.
"""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from cnnrnn.core.manifest import ImageSpec
from cnnrnn.data.readers import read_captions
from cnnrnn.evaluation import evaluate, score_captions
from cnnrnn.export import export_checkpoint
from cnnrnn.models.config import ModelConfig
from cnnrnn.models.encoders import Encoder, build_encoder
from cnnrnn.training import TrainConfig, load_model, train
from cnnrnn.training.nearest import nearest_captions

# Each with all that its vendor has drawn.
VENDORS = {"noto": ("noto", "noto-v1"), "twemoji": ("twemoji",), "openmoji": ("openmoji",)}
UNSEEN = "fluent"
HERE = Path(__file__).resolve().parent

log = logging.getLogger("emoji.leave_one_out")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path("data/emoji"), help="the folder that fetch.py wrote"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where checkpoints are kept")
    parser.add_argument("--epochs", type=int, default=9, help="epochs of each of the three runs")
    parser.add_argument("--shipped", type=Path, help="a bundle trained on all of them, to score on Fluent")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="folder of JSON results")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.shipped and not (options.runs / "emoji/last.pt").is_file():
        parser.error(
            f"--shipped needs {options.runs / 'emoji/last.pt'}, which `make train-emoji` leaves there"
        )
    options.results.mkdir(parents=True, exist_ok=True)
    for vendor in VENDORS:
        run = options.runs / f"emoji-without-{vendor}"
        write(options.results / f"without-{vendor}.json", held_out(vendor, options.data, run, options.epochs))
    if options.shipped:
        write(
            options.results / f"{UNSEEN}.json",
            shipped(options.shipped, options.data, options.runs / "emoji/last.pt"),
        )


def held_out(vendor: str, data: Path, run: Path, epochs: int) -> dict[str, Any]:
    """Trains on all that other vendors drew and scores the exported bundle on this one."""
    config = leave_out(TrainConfig.load(HERE / "emoji.toml"), vendor, data.resolve(), run.resolve(), epochs)
    last = train(config, resume=(run / "last.pt").exists(), progress_bar=True).last
    export_checkpoint(last, run / "bundle", name=f"emoji-without-{vendor}", weight_storage="fp16")
    result = scored(run / "bundle", vendor, data, last, [Path(source) for source in config.data.train])
    return {**result, "epochs": epochs}


def leave_out(config: TrainConfig, vendor: str, data: Path, run: Path, epochs: int) -> TrainConfig:
    """The shipped recipe without what a vendor drew, watched on nothing."""
    sets = [Path(source).name for source in config.data.train]
    train_sources = tuple(str(data / name) for name in sets if name not in VENDORS[vendor])
    return replace(
        config,
        output=str(run),
        data=replace(config.data, train=train_sources, validation=()),
        training=replace(config.training, epochs=epochs),
    )


def shipped(bundle: Path, data: Path, checkpoint: Path) -> dict[str, Any]:
    """Scores the bundle trained on all sets on a vendor that drew none of them."""
    sets = TrainConfig.load(HERE / "emoji.toml").data.train
    return scored(bundle, UNSEEN, data, checkpoint, [data / Path(name).name for name in sets])


def scored(bundle: Path, vendor: str, data: Path, checkpoint: Path, known: list[Path]) -> dict[str, Any]:
    """The bundle's scores on a vendor at beam 5, and the floors beside them."""
    result = evaluate(bundle, [data / vendor], beams=5).to_dict()
    result.pop("failed")
    result["vendor"] = vendor
    config = load_model(checkpoint)
    before = build_encoder(
        ModelConfig(encoder=config.model.config.encoder, pretrained=True, attention="none")
    )
    for floor, encoder in (("imagenet", before), ("trained", config.model.encoder)):
        result[f"floor_nearest_{floor}_trunk"] = nearest(encoder, config.image, data / vendor, known)
    log.info("%s", json.dumps(result))
    return result


def nearest(encoder: Encoder, image: ImageSpec, vendor: Path, known: list[Path]) -> dict[str, Any]:
    """The floor: each picture gets the name of the known one with the nearest pooled features."""
    unknown = read_captions(vendor)
    library = [sample for folder in known for sample in read_captions(folder)]
    texts = nearest_captions(encoder, image, library, unknown)
    return score_captions(texts, [sample.captions for sample in unknown]).values


def write(path: Path, result: dict[str, Any]) -> None:
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
