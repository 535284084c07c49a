"""One step of an optimizer: forward and backward over its batches, all of whose words weigh the same."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from cnnrnn.training.batches import Share
from cnnrnn.training.processes import Processes


class Objective(Protocol):
    """What a stage minimises: a module that gives sums, and says by what they are divided."""

    def weight(self, share: Share) -> int:
        """How many terms the sum over a share has."""
        ...

    def forward(self, share: Share) -> tuple[Tensor, dict[str, float]]:
        """The summed loss, a scalar with a gradient, and other sums to record."""
        ...


class NotFinite(Exception):
    """A loss or a gradient is NaN or infinite; ``what`` says which. The weights are those of before."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


@dataclass
class Optimization:
    """What moves the weights in a stage.

    Attributes:
        clip_norm: largest norm of the gradient.
    """

    optimizer: torch.optim.Optimizer
    schedule: LRScheduler
    scaler: torch.amp.GradScaler
    clip_norm: float


def optimize(
    module: nn.Module,
    objective: Objective,
    shares: Sequence[Share],
    optimization: Optimization,
    processes: Processes,
) -> dict[str, float]:
    """Takes one step by the mean over all terms of the batches, those of the other processes included.

    Args:
        module: the objective, wrapped for several processes.
        objective: itself.
        shares: this process's share of each batch that is accumulated.
        optimization: moves the weights.
        processes: of the run.

    Returns:
        The mean ``loss``, and the means of what else the objective sums.

    Raises:
        NotFinite: in every process, and the weights have not moved.
    """
    own = [objective.weight(share) for share in shares]
    (terms,) = processes.sum(sum(own))
    optimization.optimizer.zero_grad(set_to_none=True)
    sums: dict[str, float] = {"loss": 0.0}
    for number, share in enumerate(shares, 1):
        # The wrapper averages gradients over the processes, and they have to be summed.
        with _without_exchange(module, last=number == len(shares)):
            loss, others = module(share)
            scaled = loss * (processes.count / max(terms, 1))
            optimization.scaler.scale(scaled).backward()
        for name, value in {"loss": loss.item(), **others}.items():
            sums[name] = sums.get(name, 0.0) + value
    totals = dict(zip(sums, processes.sum(*sums.values()), strict=True))
    means = {name: value / max(terms, 1) for name, value in totals.items()}
    if not math.isfinite(means["loss"]):
        raise NotFinite(f"the loss is {means['loss']}")
    _move(module, optimization)
    return means


def _move(module: nn.Module, optimization: Optimization) -> None:
    optimizer, scaler = optimization.optimizer, optimization.scaler
    scaler.unscale_(optimizer)
    norm = nn.utils.clip_grad_norm_(module.parameters(), optimization.clip_norm)
    # The scaler skips such a step by itself and tries a smaller scale.
    if not scaler.is_enabled() and not bool(norm.isfinite()):
        raise NotFinite(f"the gradient's norm is {norm.item()}")
    scaler.step(optimizer)
    scaler.update()
    optimization.schedule.step()


def _without_exchange(module: nn.Module, *, last: bool) -> contextlib.AbstractContextManager[None]:
    """Gradients cross between the processes once a step, with its last batch."""
    if last or not isinstance(module, nn.parallel.DistributedDataParallel):
        return contextlib.nullcontext()
    return module.no_sync()
