"""AdamW over the encoder's and the decoder's weights, and the schedule of its learning rate."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from cnnrnn.models import Model
from cnnrnn.training.optim_config import OptimConfig


class EncoderSwitch:
    """Freezes the trunk and lets it learn again, but for the blocks that are frozen for good.

    While it is frozen it is in eval mode too, so that its batch statistics keep still.

    Attributes:
        parameters: the trunk's that may learn.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self.parameters = [
            parameter for parameter in model.encoder.trunk.parameters() if parameter.requires_grad
        ]

    def set(self, *, learns: bool) -> None:
        """Puts the whole model in training mode, its trunk as said."""
        self._model.train()
        for parameter in self.parameters:
            parameter.requires_grad_(learns)
        if not learns:
            self._model.encoder.trunk.eval()


def build_optimizer(
    model: Model, trunk: list[nn.Parameter], rates: tuple[float, float], weight_decay: float
) -> torch.optim.AdamW:
    """AdamW; all but the trunk is new, the features' normalisation too, and learns at the decoder's rate.

    Args:
        model: the captioner.
        trunk: the trunk's weights that may learn; those that do not yet, and get no gradient, keep still.
        rates: the decoder's and the encoder's learning rate.
        weight_decay: of matrices and filters, not of biases and scales.
    """
    groups = []
    old = set(map(id, model.encoder.trunk.parameters()))
    new = [parameter for parameter in model.parameters() if id(parameter) not in old]
    for parameters, rate in ((trunk if rates[1] else [], rates[1]), (new, rates[0])):
        decayed = [parameter for parameter in parameters if parameter.dim() > 1]
        plain = [parameter for parameter in parameters if parameter.dim() <= 1]
        groups += [
            {"params": decayed, "lr": rate, "weight_decay": weight_decay},
            {"params": plain, "lr": rate, "weight_decay": 0.0},
        ]
    return torch.optim.AdamW([group for group in groups if group["params"]])


def build_schedule(optimizer: torch.optim.Optimizer, options: OptimConfig, steps: int) -> LRScheduler:
    """The learning rates over that many steps."""
    if options.schedule == "constant":
        return constant(optimizer)
    return OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=steps + 1,
        pct_start=options.warmup_share,
        cycle_momentum=False,
    )


def constant(optimizer: torch.optim.Optimizer) -> LRScheduler:
    """Learning rates that stay."""
    return LambdaLR(optimizer, lambda step: 1.0)
