"""The training loop: teacher forcing with cross-entropy, end to end, exactly resumable."""

from __future__ import annotations

import json
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from cnnrnn.core.errors import CheckpointError, ConfigError, DataError, TrainingError
from cnnrnn.core.extras import require
from cnnrnn.core.manifest import ImageSpec
from cnnrnn.core.storage import write_atomic
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.data.dataset import IGNORED, Batch, CaptionDataset, Collate, EpochSampler
from cnnrnn.data.readers import Sample
from cnnrnn.data.vocabulary import build_tokenizer
from cnnrnn.models.captioner import Captioner
from cnnrnn.training.checkpoint import read_checkpoint, save_checkpoint
from cnnrnn.training.config import OptimConfig, TrainConfig
from cnnrnn.training.curve import draw_curve
from cnnrnn.training.greedy import greedy_captions
from cnnrnn.training.samples import read_samples

log = logging.getLogger(__name__)

# Drawing takes longer than an epoch of a few pictures.
CURVE_EVERY_S = 10.0


@dataclass(frozen=True)
class TrainingResult:
    """Where a run ended: ``last`` and ``best`` checkpoints, epochs done, and the last epoch's metrics."""

    last: Path
    best: Path
    epochs: int
    metrics: dict[str, float]


@dataclass
class Progress:
    """The position of a run, kept in its checkpoints.

    ``batch`` counts the finished batches of ``epoch``; ``loss_sum`` and ``loss_count`` are that epoch's.
    """

    epoch: int = 0
    batch: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    best: float = math.inf
    waited: int = 0
    seconds: float = 0.0


def train(config: TrainConfig, *, resume: bool = False, progress_bar: bool = False) -> TrainingResult:
    """Trains a captioner; its output gets ``last.pt``, ``best.pt``, ``metrics.jsonl`` and ``curve.png``.

    Args:
        config: everything that the run depends on.
        resume: go on from ``last.pt``; the run then ends with the weights it would have had without a break.
        progress_bar: show one on standard error.

    Raises:
        ConfigError: the configuration contradicts itself, or ``last.pt`` was made by another.
        DataError: a caption file is missing or malformed, too many pictures cannot be used, or some are both
            trained and validated on.
        CheckpointError: ``last.pt`` cannot be read.
        TrainingError: the loss is no longer a number; the last good checkpoint stays.
        StorageError: a checkpoint cannot be written; the old one is whole.
    """
    return Trainer(config, resume=resume).run(progress_bar=progress_bar)


class Trainer:
    """One run: data, model, optimizer, schedule, and its position."""

    def __init__(self, config: TrainConfig, *, resume: bool = False) -> None:
        self.config = config
        self.output = Path(config.output)
        self.last, self.best = self.output / "last.pt", self.output / "best.pt"
        if config.training.threads:
            torch.set_num_threads(config.training.threads)
        torch.manual_seed(config.seed)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if config.training.mixed_precision == "fp16" and self.device.type != "cuda":
            raise ConfigError("training mixed_precision = 'fp16' needs CUDA; set it to 'bf16' or 'off'")

        samples, held_out = read_samples(config)
        saved = self._saved() if resume else None
        if saved is None:
            texts = (text for sample in samples for text in sample.captions)
            self.tokenizer = build_tokenizer(texts, config.vocabulary)
        else:
            self.tokenizer = Tokenizer.from_json(saved["tokenizer"])
        self.training_set = self._dataset(samples, augment=True)
        self.validation_set = self._dataset(held_out, augment=False) if held_out else None
        self.model = Captioner(config.model, self.tokenizer.size, load_pretrained=saved is None)
        self.model.encoder.grid(config.image.height, config.image.width)  # refuses a size it cannot take
        self._check_output(saved)  # after the configuration's own mistakes, such as an unknown encoder
        self.output.mkdir(parents=True, exist_ok=True)
        self.model.to(self.device).to(memory_format=torch.channels_last)
        self.normalise = Normalise(config.image, self.device)
        self.optimizer = _optimizer(self.model, config.training)
        self.batches = -(-len(self.training_set) // config.training.batch_size)
        self.schedule = _schedule(self.optimizer, config.training, self.batches)
        self.scaler = torch.amp.GradScaler(enabled=config.training.mixed_precision == "fp16")
        self.progress = Progress()
        self.curve_drawn = time.monotonic()
        if saved is not None:
            self._restore(saved)

    def _saved(self) -> dict[str, Any]:
        if not self.last.exists():
            raise ConfigError(f"there is no {self.last} to go on from; start the run without --resume")
        return read_checkpoint(self.last)

    def _check_output(self, saved: dict[str, Any] | None) -> None:
        if saved is None and self.last.exists():
            raise ConfigError(f"{self.last} exists; go on with --resume, or choose another output folder")
        if saved is not None and _plain(_configured(saved)) != _plain(self.config.to_dict()):
            raise ConfigError(
                f"{self.last} was made by another configuration; resume with the one it was started with"
            )

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
        )
        if not len(dataset):
            raise DataError("no caption of the pictures has a token of the vocabulary; see [vocabulary]")
        self._tell(dataset)
        return dataset

    def _tell(self, dataset: CaptionDataset) -> None:
        if dataset.cut:
            length = self.config.data.max_length
            log.info("%d of %d captions are cut at max_length = %d", dataset.cut, len(dataset), length)
        if dataset.unspoken:
            listed = ", ".join(map(repr, dataset.unspoken[:5]))
            log.warning("%d captions are left out, they have no word: %s", len(dataset.unspoken), listed)

    @property
    def finished(self) -> bool:
        """Whether every epoch is done, or the metric has not got better for as long as was allowed."""
        options = self.config.training
        return self.progress.epoch >= options.epochs or 0 < options.patience <= self.progress.waited

    def run(self, *, progress_bar: bool = False) -> TrainingResult:
        """Trains until the last epoch, or until the metric has stopped getting better."""
        options = self.config.training
        metrics: dict[str, float] = {}
        if self.finished:
            done = f"{self.progress.epoch} of {options.epochs} epochs are done"
            log.info("this run is finished: %s, and its last checkpoint is %s", done, self.last)
            metrics = dict(*self._records()[-1:])
        while not self.finished:
            metrics = self._epoch(progress_bar)
            self.progress.epoch += 1
            self.progress.batch = self.progress.loss_count = 0
            self.progress.loss_sum = 0.0
            due = self.progress.epoch % options.evaluate_every == 0 or self.progress.epoch == options.epochs
            if due and self.validation_set is not None:
                metrics.update(self._validate())
            self._record(metrics)
            better = self._is_better(metrics)
            if due and (self.finished or time.monotonic() - self.curve_drawn > CURVE_EVERY_S):
                self._draw()
            self._save(*([self.best] if better else []), self.last)
        if self.progress.epoch < options.epochs:
            log.info("stopped: no better %s in %d evaluations", options.metric, options.patience)
        return TrainingResult(self.last, self.best, self.progress.epoch, metrics)

    def _epoch(self, progress_bar: bool) -> dict[str, float]:
        self.model.train()
        if self.config.training.encoder_learning_rate == 0:
            self.model.encoder.trunk.eval()
        started = saved_at = time.monotonic()
        bar = require("tqdm", extra="train").tqdm(
            self._loader(self.training_set, self.progress.epoch, self.progress.batch),
            desc=f"epoch {self.progress.epoch + 1}/{self.config.training.epochs}",
            initial=self.progress.batch,
            total=self.batches,
            unit="batch",
            disable=None if progress_bar else True,
        )
        for batch in bar:
            loss = self._step(batch)
            self.progress.batch += 1
            self.progress.loss_sum += loss
            self.progress.loss_count += 1
            bar.set_postfix(loss=f"{self.progress.loss_sum / self.progress.loss_count:.3f}", refresh=False)
            if time.monotonic() - saved_at > 60 * self.config.training.checkpoint_minutes:
                self._save(self.last)
                saved_at = time.monotonic()
        self.progress.seconds += time.monotonic() - started
        return {
            "epoch": self.progress.epoch + 1,
            "train_loss": self.progress.loss_sum / max(self.progress.loss_count, 1),
            "learning_rate": float(self.schedule.get_last_lr()[0]),
            "seconds": round(self.progress.seconds, 1),
        }

    def _loader(self, dataset: CaptionDataset, epoch: int, first_batch: int = 0) -> DataLoader[Any]:
        options = self.config
        sampler = EpochSampler(
            len(dataset), options.training.batch_size, seed=options.seed, epoch=epoch, first_batch=first_batch
        )
        return DataLoader(
            dataset,
            batch_sampler=sampler,
            num_workers=options.data.workers,
            collate_fn=Collate(self.tokenizer.start, self.tokenizer.pad),
            generator=torch.Generator().manual_seed(options.seed),
        )

    def _loss(self, batch: Batch, smoothing: float) -> Tensor:
        options = self.config.training
        kind = torch.float16 if options.mixed_precision == "fp16" else torch.bfloat16
        with torch.autocast(self.device.type, kind, enabled=options.mixed_precision != "off"):
            logits = self.model(self.normalise(batch.images), batch.inputs.to(self.device))
        return functional.cross_entropy(
            logits.float().flatten(0, 1),
            batch.targets.to(self.device).flatten(),
            ignore_index=IGNORED,
            label_smoothing=smoothing,
        )

    def _step(self, batch: Batch) -> float:
        loss = self._loss(batch, self.config.training.label_smoothing)
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss is {value} at epoch {self.progress.epoch + 1}, batch {self.progress.batch + 1} "
                f"of {self.batches}; lower the learning rate or clip_norm. {self.last} is whole"
            )
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.training.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        return value

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        assert self.validation_set is not None
        self.model.eval()
        dataset, texts = self.validation_set, []
        total = count = 0.0
        for batch in self._loader(dataset, epoch=0):
            words = (batch.targets != IGNORED).sum().item()
            total += self._loss(batch, 0.0).item() * words
            count += words
        for start in range(0, len(dataset.samples), self.config.training.batch_size):
            stop = min(start + self.config.training.batch_size, len(dataset.samples))
            images = torch.stack([dataset.pixels(number) for number in range(start, stop)])
            texts += greedy_captions(
                self.model, self.normalise(images), self.tokenizer, self.config.data.max_length
            )
        hits = sum(text in sample.captions for text, sample in zip(texts, dataset.samples, strict=True))
        return {"validation_loss": total / count, "validation_exact_match": hits / len(texts)}

    def _is_better(self, metrics: dict[str, float]) -> bool:
        if "validation_loss" not in metrics:
            return self.validation_set is None
        value = metrics["validation_loss"]
        if self.config.training.metric == "exact_match":
            value = -metrics["validation_exact_match"]
        better = value < self.progress.best
        self.progress.waited = 0 if better else self.progress.waited + 1
        self.progress.best = min(value, self.progress.best)
        return better

    def _records(self) -> list[dict[str, float]]:
        """The metrics of each epoch so far."""
        path = self.output / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]

    def _record(self, metrics: dict[str, float]) -> None:
        kept = [record for record in self._records() if record["epoch"] < metrics["epoch"]]
        kept.append(metrics)
        lines = "".join(json.dumps(record) + "\n" for record in kept)
        write_atomic(self.output / "metrics.jsonl", lines.encode())
        log.info("%s", ", ".join(f"{name} {value:.4g}" for name, value in metrics.items()))

    def _draw(self) -> None:
        write_atomic(self.output / "curve.png", draw_curve(self._records()))
        self.curve_drawn = time.monotonic()

    def _save(self, *paths: Path) -> None:
        generator = {"torch_rng": torch.get_rng_state()}
        if self.device.type == "cuda":
            generator["cuda_rng"] = torch.cuda.get_rng_state()
        content = {
            "config": _plain(self.config.to_dict()),
            "tokenizer": self.tokenizer.to_json(),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "progress": vars(self.progress).copy(),
            **generator,
        }
        save_checkpoint(content, *paths)

    def _restore(self, saved: dict[str, Any]) -> None:
        try:
            self.model.load_state_dict(saved["model"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.schedule.load_state_dict(saved["schedule"])
            self.scaler.load_state_dict(saved["scaler"])
            self.progress = Progress(**saved["progress"])
            torch.set_rng_state(saved["torch_rng"])
            if self.device.type == "cuda" and "cuda_rng" in saved:
                torch.cuda.set_rng_state(saved["cuda_rng"])
        except (KeyError, TypeError, RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"{self.last} cannot be resumed: {str(error).partition(chr(10))[0]}"
            ) from error


class Normalise:
    """(B, 3, H, W) uint8 to float32 by the image's mean and deviation, as the encoder graph does it."""

    def __init__(self, image: ImageSpec, device: torch.device) -> None:
        self.device = device
        self.mean = 255 * torch.tensor(image.mean, device=device).view(3, 1, 1)
        self.std = 255 * torch.tensor(image.std, device=device).view(3, 1, 1)

    def __call__(self, images: Tensor) -> Tensor:
        pixels = images.to(self.device, memory_format=torch.channels_last)
        return (pixels.float() - self.mean) / self.std


def _configured(saved: dict[str, Any]) -> dict[str, Any] | None:
    """A checkpoint's configuration with the defaults of newer keys; None where it is not this version's."""
    try:
        return TrainConfig.from_dict(saved["config"]).to_dict()
    except ConfigError:
        return None


def _optimizer(model: Captioner, options: OptimConfig) -> torch.optim.AdamW:
    """AdamW; what stands between trunk and decoder is new, as the decoder is, and learns at its rate."""
    if options.encoder_learning_rate == 0:
        model.encoder.trunk.requires_grad_(False)
    groups = []
    for modules, rate in (
        ((model.encoder.trunk,), options.encoder_learning_rate),
        ((model.encoder.norm, model.positions, model.decoder), options.learning_rate),
    ):
        parameters = [
            parameter for module in modules for parameter in module.parameters() if parameter.requires_grad
        ]
        decayed = [parameter for parameter in parameters if parameter.dim() > 1]
        plain = [parameter for parameter in parameters if parameter.dim() <= 1]
        groups += [
            {"params": decayed, "lr": rate, "weight_decay": options.weight_decay},
            {"params": plain, "lr": rate, "weight_decay": 0.0},
        ]
    return torch.optim.AdamW([group for group in groups if group["params"]])


def _schedule(
    optimizer: torch.optim.Optimizer, options: OptimConfig, batches: int
) -> torch.optim.lr_scheduler.LRScheduler:
    if options.schedule == "constant":
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=options.epochs * batches + 1,
        pct_start=options.warmup_share,
        cycle_momentum=False,
    )


def _plain(value: Any) -> Any:
    """Tuples as lists, as JSON has them, so that a configuration compares equal after a round trip."""
    result: Any = json.loads(json.dumps(value))
    return result
