"""The section ``[training]``: how the weights move, and how often a run looks at itself and saves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from cnnrnn.core.errors import ConfigError

Metric = Literal["loss", "exact_match", "cider"]
Schedule = Literal["one_cycle", "constant"]
SamplingSchedule = Literal["linear", "inverse_sigmoid"]
MixedPrecision = Literal["off", "bf16", "fp16"]

_CHOICES = {
    "metric": Metric,
    "schedule": Schedule,
    "sampling_schedule": SamplingSchedule,
    "mixed_precision": MixedPrecision,
}
_COUNTS = {
    "epochs": 1,
    "batch_size": 1,
    "accumulate": 1,
    "evaluate_every": 1,
    "encoder_from_epoch": 1,
    "patience": 0,
    "threads": 0,
}
_RATES = ("learning_rate", "encoder_learning_rate", "weight_decay", "checkpoint_minutes")


@dataclass(frozen=True)
class OptimConfig:
    """How the weights move.

    Attributes:
        epochs, batch_size: passes over the data by cross-entropy, pictures per batch of all processes.
        accumulate: batches per step; the loss of a step is the mean over all of their words.
        learning_rate: of the decoder, at the schedule's peak (AdamW, Loshchilov & Hutter 2019).
        encoder_learning_rate: of the encoder, likewise; 0 freezes it.
        encoder_from_epoch: the first epoch, counted from 1, in which the encoder learns.
        schedule: ``"one_cycle"`` (Smith & Topin 2019) or ``"constant"``.
        warmup_share: share of the steps until the peak.
        label_smoothing: Szegedy et al. 2016.
        scheduled_sampling: probability, at the last step, that a word's input is the model's own word in
            place of the caption's (Bengio et al. 2015); 0 is teacher forcing throughout.
        sampling_schedule: how that probability grows: ``"linear"`` or ``"inverse_sigmoid"``.
        clip_norm: largest norm of the gradient.
        ema: decay of an exponential moving average of the weights, which is then what is evaluated and
            exported; 0 is off.
        mixed_precision: ``"off"``, ``"bf16"`` or ``"fp16"`` (the last on CUDA alone).
        compile: run encoder and decoder step through :func:`torch.compile`.
        init_from: a checkpoint to take the weights and the vocabulary from; empty for none.
        encoder_from: a checkpoint to take the encoder's weights from, of a run with the same encoder,
            whatever its decoder and vocabulary; empty for none.
        patience: evaluations without a better metric until the stage ends; 0 never ends it early.
        metric: what ``patience`` watches and ``best.pt`` is chosen by.
        evaluate_every: epochs between evaluations.
        checkpoint_minutes: minutes between checkpoints inside an epoch.
        threads: CPU threads; 0 leaves torch's own choice.
    """

    epochs: int = 20
    batch_size: int = 64
    accumulate: int = 1
    learning_rate: float = 1e-3
    encoder_learning_rate: float = 1e-4
    encoder_from_epoch: int = 1
    weight_decay: float = 0.01
    schedule: Schedule = "one_cycle"
    warmup_share: float = 0.15
    label_smoothing: float = 0.0
    scheduled_sampling: float = 0.0
    sampling_schedule: SamplingSchedule = "linear"
    clip_norm: float = 5.0
    ema: float = 0.0
    mixed_precision: MixedPrecision = "off"
    compile: bool = False
    init_from: str = ""
    encoder_from: str = ""
    patience: int = 0
    metric: Metric = "loss"
    evaluate_every: int = 1
    checkpoint_minutes: float = 5.0
    threads: int = 0

    def __post_init__(self) -> None:
        for name, least in _COUNTS.items():
            check_count("training", name, getattr(self, name), least)
        for name in _RATES:
            check_rate("training", name, getattr(self, name))
        for name, choices in _CHOICES.items():
            if (value := getattr(self, name)) not in (allowed := get_args(choices)):
                raise ConfigError(f"training {name} = {value!r} must be one of {', '.join(allowed)}")
        if not 0 <= self.label_smoothing < 1 or not 0 < self.warmup_share < 1:
            raise ConfigError(
                f"training label_smoothing = {self.label_smoothing} must be in [0, 1) and "
                f"warmup_share = {self.warmup_share} in (0, 1)"
            )
        if self.encoder_from_epoch > self.epochs:
            raise ConfigError(
                f"training encoder_from_epoch = {self.encoder_from_epoch} and epochs = {self.epochs}: "
                "the encoder would never learn; say so with encoder_learning_rate = 0"
            )
        if not 0 <= self.scheduled_sampling <= 1:
            raise ConfigError(
                f"training scheduled_sampling = {self.scheduled_sampling!r} is a probability, from 0 to 1"
            )
        if not 0 <= self.ema < 1:
            raise ConfigError(
                f"training ema = {self.ema!r} is a decay, from 0 (off) to below 1; usual is 0.999"
            )
        paths = (self.init_from, self.encoder_from)
        if not isinstance(self.compile, bool) or not all(isinstance(path, str) for path in paths):
            raise ConfigError(
                f"training compile = {self.compile!r} must be true or false, and init_from = "
                f"{self.init_from!r} and encoder_from = {self.encoder_from!r} paths of checkpoints"
            )


def check_count(section: str, name: str, value: Any, least: int) -> None:
    """Refuses what is no whole number, or too small.

    Raises:
        ConfigError: it is.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{section} {name} = {value!r} must be a whole number, {least} or more")


def check_rate(section: str, name: str, value: Any) -> None:
    """Refuses what is no finite number of 0 or more.

    Raises:
        ConfigError: it is.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ConfigError(f"{section} {name} = {value!r} must be a number, 0 or more")
