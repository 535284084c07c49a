"""Where a run is, as its checkpoints keep it."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class Progress:
    """The position of a run and what it has measured of the epoch it is in.

    Attributes:
        epoch: finished epochs of both stages.
        batch: finished batches of the running epoch.
        loss_sum, loss_count: of its steps' losses.
        reward_sum, baseline_sum: likewise, in the self-critical stage.
        best: the best metric so far, the smaller the better.
        waited: evaluations of this stage since.
        seconds: spent on training.
        steps: of the optimizers, in all.
        infeasible_sum: of its steps' shares of what CTC cannot write; see `Ctc`.
        scst_from: the number of finished epochs at which the self-critical stage began; -1 before it.
    """

    epoch: int = 0
    batch: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    best: float = math.inf
    waited: int = 0
    seconds: float = 0.0
    reward_sum: float = 0.0
    baseline_sum: float = 0.0
    steps: int = 0
    scst_from: int = -1
    infeasible_sum: float = 0.0

    @property
    def self_critical(self) -> bool:
        """Whether the stage of cross-entropy is over and the next has begun."""
        return self.scst_from >= 0

    def means(self) -> dict[str, float]:
        """Of the running epoch: ``train_loss``, and ``infeasible`` where that is not 0; or ``reward``,
        ``baseline_reward`` and ``scst_loss``."""
        count = max(self.loss_count, 1)
        if not self.self_critical:
            means = {"train_loss": self.loss_sum / count}
            if self.infeasible_sum:
                means["infeasible"] = self.infeasible_sum / count
            return means
        return {
            "reward": self.reward_sum / count,
            "baseline_reward": self.baseline_sum / count,
            "scst_loss": self.loss_sum / count,
        }

    def end_epoch(self) -> None:
        """Counts the running epoch as finished."""
        self.epoch += 1
        self.batch = self.loss_count = 0
        self.loss_sum = self.reward_sum = self.baseline_sum = self.infeasible_sum = 0.0
