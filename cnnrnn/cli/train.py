"""Train the captioner that a configuration describes.

CONFIG is a TOML file. The run's folder gets last.pt, best.pt, metrics.jsonl (a line an epoch) and curve.png.
A run that was stopped goes on with --resume, and ends with the weights it would have had without the break.
SIGTERM and Ctrl-C stop it after the running batch, saved, with exit code 1; a second one stops it at once.
With several GPUs: torchrun --nproc-per-node COUNT -m cnnrnn train CONFIG
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from cnnrnn.cli.output import print_json, print_line
from cnnrnn.core import extras


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """CONFIG, and whether to go on."""
    parser.add_argument("config", metavar="CONFIG", type=Path, help="the run's description, a TOML file")
    parser.add_argument("--resume", action="store_true", help="go on from the run's last checkpoint")


def run(arguments: argparse.Namespace) -> int:
    """Train to the end; say where the checkpoints are.

    Raises:
        ConfigError: the configuration cannot be read or contradicts itself.
        TrainingStopped: a signal asked for it; the run is saved.
        CnnrnnError: as `cnnrnn.training.train`.
    """
    extras.require("torch", "train")
    from cnnrnn.training import TrainConfig, is_first_process, train

    if is_first_process():
        logging.getLogger("cnnrnn").setLevel(logging.INFO)
    result = train(
        TrainConfig.load(arguments.config), resume=arguments.resume, progress_bar=not arguments.json
    )
    if not is_first_process():
        return 0
    if arguments.json:
        print_json(
            {"best": str(result.best), "last": str(result.last), "epochs": result.epochs, **result.metrics}
        )
    else:
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in result.metrics.items())
        print_line(f"{result.epochs} epochs: {metrics}")
        print_line(
            f"export it with: cnnrnn export {result.best if result.best.exists() else result.last} FOLDER"
        )
    return 0
