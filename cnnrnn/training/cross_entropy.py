"""The first stage's objective: cross-entropy under teacher forcing or scheduled sampling."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional

from cnnrnn.data.dataset import IGNORED, Batch
from cnnrnn.training.batches import Share
from cnnrnn.training.forward import Forward
from cnnrnn.training.optim_config import OptimConfig

STEEPNESS = math.log(100.0)


class CrossEntropy(nn.Module):
    """The sum of cross-entropy over a batch's words, in nats.

    Attributes:
        own_words: the present probability of scheduled sampling.
    """

    def __init__(self, forward: Forward, label_smoothing: float) -> None:
        super().__init__()
        self.captioner = forward
        self.label_smoothing = label_smoothing
        self.own_words = 0.0

    def weight(self, share: Share) -> int:
        """How many words count: the loss of a step is divided by those of all its batches."""
        return 0 if share.spare else words_of(share.batch)

    def forward(self, share: Share) -> tuple[Tensor, dict[str, float]]:
        """The loss, and nothing else to record."""
        logits = self.captioner.logits(share.batch, self.own_words)
        loss = word_loss(logits, share.batch, self.label_smoothing)
        return loss * (0.0 if share.spare else 1.0), {}


def words_of(batch: Batch) -> int:
    """How many words the captions of a batch have, end tokens included."""
    return int((batch.targets != IGNORED).sum())


def word_loss(logits: Tensor, batch: Batch, label_smoothing: float) -> Tensor:
    """The summed cross-entropy of (B, T, V) logits; a scalar, float32."""
    return functional.cross_entropy(
        logits.flatten(0, 1),
        batch.targets.to(logits.device, non_blocking=True).flatten(),
        ignore_index=IGNORED,
        label_smoothing=label_smoothing,
        reduction="sum",
    )


def sampling_probability(options: OptimConfig, done: float) -> float:
    """Of a word of the model's own, when a share ``done`` of the stage's steps is done.

    ``"linear"`` grows evenly. ``"inverse_sigmoid"`` is 1 - k / (k + exp(i / k)) of Bengio et al. 2015, which
    over 2 k ln k steps is a sigmoid in (2 done - 1) ln k, with k = 100, stretched to begin at 0 exactly.
    """
    done = min(done, 1.0)
    if options.sampling_schedule == "inverse_sigmoid":
        low, high = _sigmoid(-STEEPNESS), _sigmoid(STEEPNESS)
        done = (_sigmoid((2 * done - 1) * STEEPNESS) - low) / (high - low)
    return options.scheduled_sampling * done


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))
