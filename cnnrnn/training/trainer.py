"""The training loop: cross-entropy, then self-critical sequence training, exactly resumable."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import nn

from cnnrnn.core.errors import TrainingError, TrainingStopped
from cnnrnn.core.extras import require
from cnnrnn.data.dataset import mix_seed
from cnnrnn.training.batches import Share, worker_ended
from cnnrnn.training.checkpoint import save_checkpoint
from cnnrnn.training.config import TrainConfig
from cnnrnn.training.cross_entropy import CrossEntropy, sampling_probability
from cnnrnn.training.preparation import Preparation
from cnnrnn.training.processes import Processes, join_processes
from cnnrnn.training.record import Record
from cnnrnn.training.signals import StopSignals
from cnnrnn.training.step import NotFinite, optimize
from cnnrnn.training.validation import StopAsked

log = logging.getLogger(__name__)

SHOWN = 8
"""Pictures of a bad batch that the error names; the log has them all."""


@dataclass(frozen=True)
class TrainingResult:
    """Where a run ended: ``last`` and ``best`` checkpoints, epochs done, and the last epoch's metrics."""

    last: Path
    best: Path
    epochs: int
    metrics: dict[str, float]


def train(config: TrainConfig, *, resume: bool = False, progress_bar: bool = False) -> TrainingResult:
    """Trains a captioner; its output gets ``last.pt``, ``best.pt``, ``metrics.jsonl`` and ``curve.png``.

    Called in each of the processes that ``torchrun`` starts, it shares every batch out to them.

    Args:
        config: everything that the run depends on.
        resume: go on from ``last.pt``; the run then ends with the weights it would have had without a break.
        progress_bar: show one on standard error.

    Raises:
        ConfigError: the configuration contradicts itself, or ``last.pt`` was made by another.
        DataError: a caption file is missing or malformed, too many pictures cannot be used, or some are both
            trained and validated on.
        CheckpointError: ``last.pt`` or ``init_from`` cannot be read.
        TrainingError: the loss is no longer a number, a process that reads pictures has died, or another
            process of the run has ended; the last good checkpoint stays.
        TrainingStopped: SIGTERM or Ctrl-C asked for it; ``last.pt`` has all that was done.
        StorageError: a checkpoint cannot be written; the old one is whole.
    """
    with join_processes() as processes:
        result = Trainer(config, resume=resume, processes=processes).run(progress_bar=progress_bar)
        processes.wait()
        return result


class Trainer:
    """One run: what it is made of, and its position."""

    def __init__(
        self, config: TrainConfig, *, resume: bool = False, processes: Processes | None = None
    ) -> None:
        self.config = config
        self.processes = processes or Processes.alone()
        made = Preparation(config, self.processes, resume=resume)
        self.output = made.output
        self.last, self.best = made.last, made.best
        self.training_set, self.validation = made.training_set, made.validation
        self.model, self.averaged, self.evaluated = made.model, made.averaged, made.evaluated
        self.encoder, self.parts, self.state = made.encoder, made.parts, made.state
        self.progress, self.stage = made.progress, made.stage
        self.record = Record(self.output, writes=self.processes.first)
        self._signals = StopSignals()
        self._wrapped: tuple[nn.Module, bool] | None = None
        self._saved_at = time.monotonic()

    @property
    def finished(self) -> bool:
        """Whether every epoch is done, or the metric has not got better for as long as was allowed."""
        return self._stage_over() and (self.progress.self_critical or not self.config.scst.epochs)

    @property
    def epochs(self) -> int:
        """The last epoch, where no stage ends early."""
        if self.progress.self_critical:
            return self.progress.scst_from + self.config.scst.epochs
        return self.config.training.epochs + self.config.scst.epochs

    def run(self, *, progress_bar: bool = False) -> TrainingResult:
        """Trains until the last epoch, or until the metric has stopped getting better."""
        metrics: dict[str, float] = {}
        if self.finished:
            done = f"{self.progress.epoch} of {self.epochs} epochs are done"
            log.info("this run is finished: %s, and its last checkpoint is %s", done, self.last)
            metrics = dict(*self.record.epochs()[-1:])
        try:
            with self._signals:
                while not self.finished:
                    metrics = self._epoch(progress_bar)
                    self._end_epoch(metrics)
        except RuntimeError as error:
            if (ended := worker_ended(error)) is None:
                raise
            raise TrainingError(f"{ended}. {self._whole()}") from error
        finally:
            self.stage.batches.close()
        if self.progress.epoch < self.epochs:
            log.info(
                "stopped: no better %s in %d evaluations",
                self.config.training.metric,
                self.config.training.patience,
            )
        return TrainingResult(self.last, self.best, self.progress.epoch, metrics)

    def save(self, *paths: Path) -> None:
        """Writes the run's state; only the first process does.

        Raises:
            StorageError: the disk is full or not writable; the old files are whole.
        """
        if self.processes.first:
            save_checkpoint(self.state.content(self.stage.optimization, self.progress), *paths)
        self._saved_at = time.monotonic()

    def _stage_over(self) -> bool:
        options, progress = self.config.training, self.progress
        last = self.epochs if progress.self_critical else options.epochs
        return progress.epoch >= last or 0 < options.patience <= progress.waited

    def _epoch(self, progress_bar: bool) -> dict[str, float]:
        progress, stage = self.progress, self.stage
        learns = stage.encoder_from is not None and progress.epoch >= stage.encoder_from
        self.encoder.set(learns=learns)
        bar = require("tqdm", extra="train").tqdm(
            desc=f"epoch {progress.epoch + 1}/{self.epochs}",
            initial=progress.batch,
            total=stage.batches.count,
            unit="batch",
            disable=None if progress_bar and self.processes.first else True,
        )
        with bar:
            before = time.monotonic()
            for shares in self._groups():
                self._step(shares, self._module(learns=learns))
                bar.update(len(shares))
                name, value = next(iter(progress.means().items()))
                bar.set_postfix({name: f"{value:.3f}"}, refresh=False)
                progress.seconds += time.monotonic() - before
                before = time.monotonic()
                self._leave_if_asked()
                if before - self._saved_at > 60 * self.config.training.checkpoint_minutes:
                    self.save(self.last)
        return self._metrics()

    def _groups(self) -> Iterator[list[Share]]:
        """This process's shares of the batches of each step."""
        shares = self.stage.batches.of_epoch(self.progress.epoch, self.progress.batch)
        while group := list(islice(shares, self.config.training.accumulate)):
            yield group

    def _module(self, *, learns: bool) -> nn.Module:
        """The objective for all processes, which is wrapped anew when other weights learn."""
        if self._wrapped is None or self._wrapped[1] != learns:
            self._wrapped = None  # the old wrapper's hooks go with it
            self._wrapped = self.processes.wrap(self.stage.objective), learns
        return self._wrapped[0]

    def _step(self, shares: list[Share], module: nn.Module) -> None:
        progress, stage = self.progress, self.stage
        # Seeded by the position, dropout and sampling are the same whatever came before: nothing to be saved.
        torch.manual_seed(mix_seed(self.config.seed, progress.epoch, progress.batch, self.processes.rank))
        if isinstance(stage.objective, CrossEntropy):
            done = progress.steps / max(self.config.training.epochs * stage.steps - 1, 1)
            stage.objective.own_words = sampling_probability(self.config.training, done)
        try:
            means = optimize(module, stage.objective, shares, stage.optimization, self.processes)
        except NotFinite as error:
            raise self._not_finite(error, len(shares)) from None
        if self.averaged is not None:
            self.averaged.update(self.model, progress.steps)
        progress.steps += 1
        progress.batch += len(shares)
        progress.loss_count += 1
        progress.loss_sum += means["loss"]
        progress.reward_sum += means.get("reward", 0.0)
        progress.baseline_sum += means.get("baseline", 0.0)
        progress.infeasible_sum += means.get("infeasible", 0.0)

    def _not_finite(self, error: NotFinite, batches: int) -> TrainingError:
        epoch, batch = self.progress.epoch, self.progress.batch
        pictures = self.stage.batches.pictures(epoch, batch, batches)
        log.error("the pictures of that batch: %s", ", ".join(pictures))
        more = f" and {len(pictures) - SHOWN} more" if len(pictures) > SHOWN else ""
        which = f"batch {batch + 1}" if batches == 1 else f"batches {batch + 1} to {batch + batches}"
        return TrainingError(
            f"{error.what} at epoch {epoch + 1}, {which} of {self.stage.batches.count}, of the pictures "
            f"{', '.join(pictures[:SHOWN])}{more}; look at them, or lower the learning rate or clip_norm. "
            f"{self._whole()}"
        )

    def _whole(self) -> str:
        if not self.last.exists():
            return "No checkpoint was written yet"
        return f"{self.last} is whole: go on from there with --resume"

    def _metrics(self) -> dict[str, float]:
        """The epoch's, of training."""
        return {
            "epoch": self.progress.epoch + 1,
            **self.progress.means(),
            "learning_rate": float(self.stage.optimization.schedule.get_last_lr()[0]),
            "seconds": round(self.progress.seconds, 1),
        }

    def _end_epoch(self, metrics: dict[str, float]) -> None:
        epoch, options = self.progress.epoch + 1, self.config.training
        ends = epoch == self.epochs or (epoch == options.epochs and not self.progress.self_critical)
        due = epoch % options.evaluate_every == 0 or ends
        if due and self.validation is not None:
            metrics.update(self._validate())
        self.record.add(metrics)
        better = self._is_better(metrics)
        self.progress.end_epoch()
        if due:
            self.record.draw(at_once=self.finished)
        if self._stage_over() and not self.finished:
            self._begin_self_critical()
        self.save(*([self.best] if better else []), self.last)
        if not self.finished:
            self._leave_if_asked()

    def _begin_self_critical(self) -> None:
        log.info("cross-entropy is over after %d epochs: self-critical training begins", self.progress.epoch)
        self.progress.scst_from, self.progress.waited = self.progress.epoch, 0
        self._wrapped = None
        self.stage.batches.close()
        self.stage = self.parts.self_critical()

    def _validate(self) -> dict[str, float]:
        assert self.validation is not None
        self.evaluated.model.eval()
        try:
            return self.validation(self.evaluated, self._stop_asked)
        except StopAsked:
            self._leave_if_asked()
            raise

    def _is_better(self, metrics: dict[str, float]) -> bool:
        if "validation_loss" not in metrics:
            return self.validation is None
        value = metrics[f"validation_{self.config.training.metric}"]
        if self.config.training.metric != "loss":
            value = -value
        better = value < self.progress.best
        self.progress.waited = 0 if better else self.progress.waited + 1
        self.progress.best = min(value, self.progress.best) if not math.isnan(value) else self.progress.best
        return better

    def _stop_asked(self) -> bool:
        """Whether a signal has come to any of the processes."""
        return self.processes.sum(bool(self._signals.asked))[0] > 0

    def _leave_if_asked(self) -> None:
        if not self._stop_asked():
            return
        self.save(self.last)
        progress = self.progress
        raise TrainingStopped(
            f"{self._signals.asked or 'a signal to another process'} stopped the run in epoch "
            f"{progress.epoch + 1}, after batch {progress.batch} of {self.stage.batches.count}; {self.last} "
            "has all of it: go on with --resume"
        )
