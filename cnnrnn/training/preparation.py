"""All that a run needs before its first batch: data, vocabulary, model, and what it goes on from."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import torch

from cnnrnn.core.errors import ConfigError, DataError, StorageError
from cnnrnn.data.dataset import CaptionDataset
from cnnrnn.data.readers import Sample
from cnnrnn.training.config import TrainConfig
from cnnrnn.training.ema import AveragedModel
from cnnrnn.training.forward import Forward, Normalise
from cnnrnn.training.optimizer import EncoderSwitch
from cnnrnn.training.processes import Processes, synchronise_norms
from cnnrnn.training.questions import check_questions, question_examples
from cnnrnn.training.samples import read_samples
from cnnrnn.training.stage import StageParts
from cnnrnn.training.start import Start
from cnnrnn.training.state import RunState, saved_progress

log = logging.getLogger(__name__)


class Preparation:
    """Reads and builds in the order in which mistakes are cheapest to find.

    Args:
        config: of the run.
        processes: those of the run.
        resume: whether it goes on from its last checkpoint.

    Attributes:
        training_set: pictures with captions.
        validation: evaluates, or None where nothing is held out.
        model: the captioner that learns.
        averaged: its average, or None.
        evaluated: the one of the two that is evaluated and exported.
        encoder: freezes the trunk.
        parts: makes the run's stages.
        stage: the present one.
        progress: the position in it.
        state: what checkpoints are made of.

    Raises:
        CnnrnnError: as :func:`cnnrnn.training.train`.
    """

    def __init__(self, config: TrainConfig, processes: Processes, *, resume: bool) -> None:
        self.config, self.processes = config, processes
        self.output = Path(config.output)
        self.last, self.best = self.output / "last.pt", self.output / "best.pt"
        if config.training.threads:
            torch.set_num_threads(config.training.threads)
        torch.manual_seed(config.seed)
        if config.training.mixed_precision == "fp16" and processes.device.type != "cuda":
            raise ConfigError("training mixed_precision = 'fp16' needs CUDA; set it to 'bf16' or 'off'")

        start = Start(config, self.last, resume=resume)
        samples, held_out = read_samples(config)
        check_questions(config, [*samples, *held_out])
        start.read()
        self.tokenizer = start.tokenizer(samples)
        self.questions = start.questions(samples)
        self.training_set = self._dataset(samples, augment=True)
        validation_set = self._dataset(held_out, augment=False) if held_out else None
        self.model = start.model(self.tokenizer, self.questions)
        self.model.encoder.grid(config.image.height, config.image.width)  # refuses a size it cannot take
        start.check_output()  # after the configuration's own mistakes, such as an unknown encoder
        self._make_output()
        self._place_model()
        self.validation = self.parts.validation(validation_set) if validation_set is not None else None
        self._go_on(start)

    def _place_model(self) -> None:
        """Puts the model on its device, with its average and what runs them."""
        options, device = self.config.training, self.processes.device
        self.model.to(device).to(memory_format=torch.channels_last)
        if self.processes.count > 1 and device.type == "cuda":
            synchronise_norms(self.model)
        normalise = Normalise(self.config.image, device)
        self.averaged = AveragedModel(self.model, options.ema) if options.ema else None
        self.encoder = EncoderSwitch(self.model)
        captioner = Forward(self.model, normalise, options)
        self.evaluated = captioner
        if self.averaged is not None:
            self.evaluated = Forward(self.averaged.model, normalise, replace(options, compile=False))
        self.parts = StageParts(
            self.config, self.training_set, self.tokenizer, captioner, self.encoder, self.processes
        )

    def _go_on(self, start: Start) -> None:
        """The run's position, at its beginning or where its checkpoint is."""
        asked = question_examples(self.training_set.samples) if self.questions else []
        self.state = RunState(self.config, self.tokenizer, self.model, self.averaged, self.questions, asked)
        self.progress = saved_progress(start.saved, self.last)
        self.stage = self.parts.self_critical() if self.progress.self_critical else self.parts.cross_entropy()
        if start.saved is not None:
            self.state.restore(start.saved, self.stage.optimization, self.last)

    def _make_output(self) -> None:
        try:
            self.output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"cannot make the folder {self.output}: {error.strerror or error}; give another output"
            ) from error

    def _dataset(self, samples: list[Sample], *, augment: bool) -> CaptionDataset:
        config = self.config
        dataset = CaptionDataset(
            samples,
            self.tokenizer,
            config.image,
            config.data.max_length,
            augment=config.augment if augment else None,
            seed=config.seed,
            cache=config.data.cache,
            questions=self.questions,
            share_pictures=config.data.share_pictures,
        )
        if not len(dataset):
            raise DataError("no caption of the pictures has a token of the vocabulary; see [vocabulary]")
        if self.processes.first:
            self._tell(dataset)
        return dataset

    def _tell(self, dataset: CaptionDataset) -> None:
        if dataset.cut:
            length = self.config.data.max_length
            log.info("%d of %d captions are cut at max_length = %d", dataset.cut, len(dataset), length)
        if dataset.unspoken:
            listed = ", ".join(map(repr, dataset.unspoken[:5]))
            log.warning("%d captions are left out, they have no word: %s", len(dataset.unspoken), listed)
