"""The two stages of a run, each an objective, its batches and what moves the weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.data.dataset import CaptionDataset, Collate
from cnnrnn.training.batches import Batches, Examples, LoaderOptions, first_examples
from cnnrnn.training.cider import CiderD
from cnnrnn.training.config import TrainConfig
from cnnrnn.training.cross_entropy import CrossEntropy
from cnnrnn.training.ctc import Ctc
from cnnrnn.training.forward import Forward
from cnnrnn.training.languages import language_draws
from cnnrnn.training.optimizer import EncoderSwitch, build_optimizer, build_schedule, constant
from cnnrnn.training.processes import Processes
from cnnrnn.training.self_critical import Reward, SelfCritical
from cnnrnn.training.step import Optimization
from cnnrnn.training.validation import Validation


@dataclass
class Stage:
    """What a run does epoch after epoch.

    Attributes:
        objective: what is minimised.
        batches: of the stage's examples: captions, or pictures.
        optimization: moves the weights.
        encoder_from: finished epochs after which the encoder learns; None for never.
        steps: of the optimizer, in an epoch.
    """

    objective: CrossEntropy | Ctc | SelfCritical
    batches: Batches
    optimization: Optimization
    encoder_from: int | None
    steps: int


@dataclass(frozen=True)
class StageParts:
    """What both stages, and their evaluation, are made of."""

    config: TrainConfig
    dataset: CaptionDataset
    tokenizer: Tokenizer
    captioner: Forward
    encoder: EncoderSwitch
    processes: Processes

    def cross_entropy(self) -> Stage:
        """The stage of ``[training]``: an example is a picture with one of its captions."""
        options = self.config.training
        most = self.config.data.languages_per_epoch
        drawn = language_draws(self.dataset, most, self.config.seed) if most else None
        batches = self._batches(self.dataset, options.batch_size, drawn)
        steps = -(-batches.count // options.accumulate)
        rates = (options.learning_rate, options.encoder_learning_rate)
        optimizer = self._optimizer(rates)
        schedule = build_schedule(optimizer, options, options.epochs * steps)
        return Stage(
            objective=self._objective(),
            batches=batches,
            optimization=Optimization(optimizer, schedule, self._scaler(), options.clip_norm),
            encoder_from=options.encoder_from_epoch - 1 if options.encoder_learning_rate else None,
            steps=steps,
        )

    def self_critical(self) -> Stage:
        """The stage of ``[scst]``: an example is a picture, drawn by the first of its captions."""
        config, options = self.config, self.config.scst
        size = options.batch_size or config.training.batch_size
        batches = self._batches(self.dataset, size, first_examples(self.dataset))
        optimizer = self._optimizer((options.learning_rate, options.encoder_learning_rate))
        reward = Reward(
            CiderD(self.dataset.references(), self.tokenizer.size),
            lambda draw: self.dataset.sample_number(draw.example),
            self.tokenizer,
            config.data.max_length,
        )
        return Stage(
            objective=SelfCritical(self.captioner, reward, options),
            batches=batches,
            optimization=Optimization(
                optimizer, constant(optimizer), self._scaler(), config.training.clip_norm
            ),
            encoder_from=0 if options.encoder_learning_rate else None,
            steps=-(-batches.count // config.training.accumulate),
        )

    def validation(self, dataset: CaptionDataset) -> Validation:
        """What evaluates on a data set."""
        size = self.config.training.batch_size
        captions = self._batches(dataset, size)
        pictures = self._batches(dataset, size, first_examples(dataset))
        return Validation(captions, pictures, self.tokenizer, self.config.data.max_length)

    def _objective(self) -> CrossEntropy | Ctc:
        if self.config.model.decoder == "ctc":
            return Ctc(self.captioner, self.tokenizer)
        return CrossEntropy(self.captioner, self.config.training.label_smoothing)

    def _batches(self, dataset: CaptionDataset, size: int, examples: Examples | None = None) -> Batches:
        """Of a data set, read as ``[data]`` says; those of training stay."""
        data, stay = self.config.data, dataset is self.dataset
        return Batches(
            dataset,
            Collate(self.tokenizer.start, self.tokenizer.pad, dataset.questions),
            LoaderOptions(size, self.config.seed, data.workers, data.prefetch, stay),
            self.processes,
            examples,
        )

    def _optimizer(self, rates: tuple[float, float]) -> torch.optim.AdamW:
        return build_optimizer(
            self.captioner.model, self.encoder.parameters, rates, self.config.training.weight_decay
        )

    def _scaler(self) -> torch.amp.GradScaler:
        return torch.amp.GradScaler(enabled=self.config.training.mixed_precision == "fp16")
