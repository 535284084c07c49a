"""The processes of one run: alone, or as many as ``torchrun`` started, each with its share of every batch."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import distributed, nn

from cnnrnn.core.errors import CnnrnnError, ConfigError, TrainingError

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process among those of the run.

    Attributes:
        rank: its number; 0 is the one that writes.
        count: how many there are.
        device: where its model is.
    """

    rank: int
    count: int
    device: torch.device

    @classmethod
    def alone(cls) -> Processes:
        """One process, on the GPU where there is one."""
        return cls(0, 1, torch.device("cuda" if torch.cuda.is_available() else "cpu"))

    @property
    def first(self) -> bool:
        """Whether it is the one that writes checkpoints, metrics and the log."""
        return self.rank == 0

    def sum(self, *values: float) -> list[float]:
        """Each value summed over the processes, in float64; all of them have to call this."""
        if self.count == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return list(map(float, total.tolist()))

    def stretch(self, values: list[T]) -> list[T]:
        """This process's part of what is shared out: neighbours, so that one picture's stay together."""
        size = len(values)
        return values[size * self.rank // self.count : size * (self.rank + 1) // self.count]

    def gather(self, values: Sequence[T]) -> list[T]:
        """The values of all processes, the first one's first."""
        if self.count == 1:
            return list(values)
        parts: list[Any] = [None] * self.count
        distributed.all_gather_object(parts, list(values))
        return [value for part in parts for value in part]

    def same(self, values: dict[str, float]) -> dict[str, float]:
        """The first process's values, so that all of them decide alike."""
        if self.count == 1:
            return values
        shared = [values]
        distributed.broadcast_object_list(shared, device=self.device)
        return shared[0]

    def wrap(self, objective: nn.Module) -> nn.Module:
        """The module with its gradients averaged over the processes; it begins with the first one's weights.

        Every parameter that learns has to take part in each pass.
        """
        if self.count == 1 or not any(parameter.requires_grad for parameter in objective.parameters()):
            return objective
        return nn.parallel.DistributedDataParallel(objective)

    def wait(self) -> None:
        """Waits for the others."""
        if self.count > 1:
            distributed.barrier()


@contextlib.contextmanager
def join_processes() -> Iterator[Processes]:
    """Joins those that ``torchrun`` started, over NCCL where there is CUDA and Gloo elsewhere.

    Raises:
        ConfigError: there are more processes on this machine than GPUs.
        TrainingError: another process has ended, so that this one cannot go on.
    """
    cuda = torch.cuda.is_available()
    count, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    if count == 1:
        yield Processes.alone()
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if cuda and local >= torch.cuda.device_count():
        raise ConfigError(
            f"process {local} of this machine has no GPU, there are {torch.cuda.device_count()}; give "
            f"torchrun --nproc-per-node {torch.cuda.device_count()}"
        )
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Processes(rank, count, device)
    except CnnrnnError:
        distributed.destroy_process_group()
        raise
    except RuntimeError as error:  # the group stays: to leave it could wait for the one that is lost
        if not _lost(error):
            raise
        raise TrainingError(
            f"process {rank} of {count} lost another one: {str(error).partition('. ')[0]}. See what "
            "that one said; the last checkpoint is whole: go on with --resume"
        ) from error
    distributed.destroy_process_group()


def is_first_process() -> bool:
    """Whether this is the process that writes and speaks: the only one, or ``torchrun``'s first."""
    return os.environ.get("RANK", "0") == "0"


def _lost(error: RuntimeError) -> bool:
    text = str(error)
    return isinstance(error, distributed.DistError) or "gloo" in text.lower() or "NCCL" in text


def synchronise_norms(model: nn.Module) -> int:
    """Makes batch normalisations that learn see the batch of all processes, as one process would.

    Those that stay in eval mode (frozen blocks) keep still as they are. Torch has this for CUDA alone.

    Returns:
        How many there are.
    """
    model.train()
    found = [
        (parent, name, module)
        for parent in model.modules()
        for name, module in parent.named_children()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training
    ]
    for parent, name, module in found:
        setattr(parent, name, nn.SyncBatchNorm.convert_sync_batchnorm(module))  # type: ignore[no-untyped-call]
    return len(found)
