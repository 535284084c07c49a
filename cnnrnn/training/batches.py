"""Batches of one run: the same order in every process, whichever batch it goes on with; a share for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, Sampler

from cnnrnn.core.errors import CnnrnnError, TrainingError
from cnnrnn.data.dataset import Batch, CaptionDataset, Collate, Draw, EpochSampler
from cnnrnn.data.readers import PictureFile
from cnnrnn.training.processes import Processes
from cnnrnn.training.signals import outlive_signals


class Share(NamedTuple):
    """What one process has of a batch.

    Attributes:
        draws: of its examples.
        batch: them as tensors.
        spare: the batch has fewer examples than there are processes, and this one has none of its own: it
            goes through the same motions with the first example, which must not count.
    """

    draws: list[Draw]
    batch: Batch
    spare: bool


Examples = Sequence[int] | Callable[[int], Sequence[int]]
"""Numbers of examples; or of an epoch's, as many in each."""


@dataclass(frozen=True)
class LoaderOptions:
    """How batches are read.

    Attributes:
        batch_size: examples of a batch, over all processes.
        seed: of their order.
        workers: processes that read.
        prefetch: batches that each of them has ready.
        stay: whether they stay from epoch to epoch, with the pictures that they have cached.
    """

    batch_size: int
    seed: int
    workers: int
    prefetch: int
    stay: bool = True


class Batches:
    """A data set's batches, epoch after epoch.

    Args:
        dataset: the pictures.
        collate: makes a batch.
        options: how they are read.
        processes: whose shares.
        examples: those that are drawn from, or of each epoch; all by default.
    """

    def __init__(
        self,
        dataset: CaptionDataset,
        collate: Collate,
        options: LoaderOptions,
        processes: Processes,
        examples: Examples | None = None,
    ) -> None:
        self.dataset = dataset
        chosen = range(len(dataset)) if examples is None else examples
        grouped = partial(_of_one_picture, dataset) if dataset.share_pictures else None
        self.sampler = ShareSampler(chosen, options, processes, grouped)
        self.processes = processes
        self.count = len(self.sampler)
        self._loader = DataLoader(
            dataset,
            batch_sampler=self.sampler,
            num_workers=options.workers,
            collate_fn=collate,
            generator=torch.Generator().manual_seed(options.seed),
            worker_init_fn=outlive_signals,
            persistent_workers=options.workers > 0 and options.stay,
            prefetch_factor=options.prefetch if options.workers else None,
            pin_memory=processes.device.type == "cuda",
        )

    def of_epoch(self, epoch: int, first_batch: int = 0) -> Iterator[Share]:
        """This process's shares of an epoch's batches, from one of them on.

        Raises:
            TrainingError: a worker ended, killed for memory, say.
            CnnrnnError: a picture cannot be read.
        """
        self.sampler.go_to(epoch, first_batch)
        shares = self.sampler.shares()
        try:
            for batch in self._loader:
                draws, spare = next(shares)
                yield Share(draws, batch, spare)
        except CnnrnnError as error:
            raise _as_raised(error) from error

    def close(self) -> None:
        """Ends the processes that read, which else stay until the last reference to them has gone."""
        iterator: Any = self._loader._iterator
        if iterator is not None:
            iterator._shutdown_workers()
            self._loader._iterator = None

    def pictures(self, epoch: int, first_batch: int, batches: int) -> list[str]:
        """The names of the pictures of some batches of an epoch, over all processes."""
        self.sampler.go_to(epoch, first_batch)
        whole = [draws for draws, _ in zip(self.sampler.whole(), range(batches), strict=False)]
        numbers = [self.dataset.sample_number(draw.example) for draws in whole for draw in draws]
        return [str(self.dataset.samples[number].image) for number in numbers]


def first_examples(dataset: CaptionDataset) -> list[int]:
    """An example of each picture that has one, in each of its languages: what to draw from where a picture
    counts once."""
    found: dict[tuple[int, str], int] = {}
    for example in range(len(dataset)):
        found.setdefault((dataset.sample_number(example), dataset.language(example)), example)
    return list(found.values())


def _of_one_picture(dataset: CaptionDataset, examples: Sequence[int]) -> list[list[int]]:
    """The places in ``examples`` of those of each picture."""
    found: dict[PictureFile, list[int]] = {}
    for place, example in enumerate(examples):
        found.setdefault(dataset.samples[dataset.sample_number(example)].image, []).append(place)
    return list(found.values())


class ShareSampler(Sampler[list[Draw]]):
    """One process's draws of each batch: a stretch of what a lone process would have.

    An epoch's order is a function of (seed, epoch), so that a run goes on with any batch of it. With
    ``grouped``, which gives the places in a list of examples of those that are drawn one after the other.
    """

    def __init__(
        self,
        examples: Examples,
        options: LoaderOptions,
        processes: Processes,
        grouped: Callable[[Sequence[int]], Sequence[Sequence[int]]] | None = None,
    ) -> None:
        self._drawn, self._grouped = examples, grouped
        self.options, self.processes = options, processes
        self.go_to(0, 0)

    def go_to(self, epoch: int, first_batch: int) -> None:
        """What is iterated over next."""
        self.epoch, self.first_batch = epoch, first_batch
        self.examples = self._drawn(epoch) if callable(self._drawn) else self._drawn
        self.groups = None if self._grouped is None else self._grouped(self.examples)

    def __len__(self) -> int:
        return -(-len(self.examples) // self.options.batch_size) - self.first_batch

    def whole(self) -> Iterator[list[Draw]]:
        """The batches of all processes."""
        order = EpochSampler(
            len(self.examples),
            self.options.batch_size,
            seed=self.options.seed,
            epoch=self.epoch,
            first_batch=self.first_batch,
            groups=self.groups,
        )
        for draws in order:
            yield [Draw(draw.epoch, self.examples[draw.example]) for draw in draws]

    def shares(self) -> Iterator[tuple[list[Draw], bool]]:
        """This process's draws of each batch, and whether they are spare."""
        for draws in self.whole():
            own = self.processes.stretch(draws)
            yield own or draws[:1], not own

    def __iter__(self) -> Iterator[list[Draw]]:
        return (draws for draws, _ in self.shares())


def worker_ended(error: RuntimeError) -> TrainingError | None:
    """What to say where the error is torch's that a worker of a loader has died; it comes at any moment."""
    text = str(error).strip(". \n")
    if "DataLoader worker" not in text:
        return None
    return TrainingError(
        f"a process that reads pictures has ended: {text.splitlines()[-1]}. Killed, it is mostly memory: "
        "fewer workers, a smaller prefetch or cache = false; a bus error is too small a /dev/shm"
    )


def _as_raised(error: CnnrnnError) -> CnnrnnError:
    """A worker's error without the traceback that torch puts around it."""
    text = str(error)
    name = f"{type(error).__name__}: "
    if not text.startswith("Caught ") or name not in text:
        return error
    return type(error)(text.rpartition(name)[2].strip())
