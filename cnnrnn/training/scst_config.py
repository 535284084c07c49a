"""The section ``[scst]``: the stage of self-critical sequence training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from cnnrnn.core.errors import ConfigError
from cnnrnn.training.optim_config import check_count, check_rate

Baseline = Literal["greedy", "mean"]


@dataclass(frozen=True)
class ScstConfig:
    """Self-critical sequence training (Rennie et al. 2017), after the epochs of cross-entropy.

    Attributes:
        epochs: passes over the pictures; 0 is no such stage.
        samples: K, captions drawn of each picture.
        baseline: what a caption's reward is compared with: ``"greedy"``, the reward of the likeliest words
            (Rennie et al.), or ``"mean"``, that of the picture's other samples (Luo 2020).
        learning_rate: of the decoder, constant.
        encoder_learning_rate: of the encoder, likewise; 0 freezes it.
        batch_size: pictures per batch of all processes; 0 for that of ``[training]``.
    """

    epochs: int = 0
    samples: int = 5
    baseline: Baseline = "greedy"
    learning_rate: float = 5e-5
    encoder_learning_rate: float = 0.0
    batch_size: int = 0

    def __post_init__(self) -> None:
        check_count("scst", "epochs", self.epochs, 0)
        check_count("scst", "batch_size", self.batch_size, 0)
        check_count("scst", "samples", self.samples, 1)
        for name in ("learning_rate", "encoder_learning_rate"):
            check_rate("scst", name, getattr(self, name))
        if self.baseline not in get_args(Baseline):
            raise ConfigError(f"scst baseline = {self.baseline!r} must be one of greedy, mean")
        if self.baseline == "mean" and self.samples < 2:
            raise ConfigError(
                f"scst baseline = 'mean' is the mean of a picture's other samples, and samples = "
                f"{self.samples} leaves none; set samples to 2 or more, or baseline to 'greedy'"
            )
