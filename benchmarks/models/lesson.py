"""A captioner taught a few pictures, so that what it says is sure enough to be compared between engines."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.models import Captioner

WORDS = 5
LEARNING_RATE = 4e-3
MOST_STEPS = 300
# Nats a word: words of a probability of 95 % are not chosen by a rounding.
LEARNED = 0.05


@dataclass(frozen=True)
class Lesson:
    """How it went.

    Attributes:
        without: parameters that got no gradient in the step of the whole network, or one that is not finite.
        first, last: the loss before and after the decoder's steps, nats a word.
    """

    without: tuple[str, ...]
    first: float
    last: float

    @property
    def learned(self) -> bool:
        """Whether every parameter had a gradient, and the captions are known."""
        return not self.without and self.last <= LEARNED


def teach(captioner: Captioner, images: Tensor, tokenizer: Tokenizer) -> Lesson:
    """Train until each picture has its own caption.

    Args:
        captioner: with ``feature_norm`` and without dropout; it is in ``eval`` mode afterwards.
        images: (B, 3, H, W) float32, normalised, all that are to be learnt.
    """
    words = torch.randint(
        4, tokenizer.size, (len(images), WORDS), generator=torch.Generator().manual_seed(1)
    )
    inputs = functional.pad(words, (1, 0), value=tokenizer.start)
    targets = functional.pad(words, (0, 1), value=tokenizer.end)
    few = slice(0, max(2, len(images) // 2))
    without = _step_of_all(captioner, images[few], inputs[few], targets[few])
    _settle(captioner, images)
    losses = _steps_of_the_decoder(captioner, images, inputs, targets)
    return Lesson(without, losses[0], losses[-1])


def _step_of_all(captioner: Captioner, images: Tensor, inputs: Tensor, targets: Tensor) -> tuple[str, ...]:
    optimizer = torch.optim.AdamW(captioner.parameters(), lr=1e-5)
    captioner.train()
    _loss(captioner, images, inputs, targets).backward()
    without = tuple(
        name
        for name, parameter in captioner.named_parameters()
        if parameter.grad is None or not bool(parameter.grad.isfinite().all())
    )
    optimizer.step()
    optimizer.zero_grad()
    return without


@torch.no_grad()
def _settle(captioner: Captioner, images: Tensor) -> None:
    """Batch normalisation learns what these pictures are, in one pass in the place of many."""
    for module in captioner.encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    captioner.encoder(images)
    captioner.eval()


def _steps_of_the_decoder(
    captioner: Captioner, images: Tensor, inputs: Tensor, targets: Tensor
) -> list[float]:
    encoder = captioner.encoder
    with torch.no_grad():
        features = encoder(images)
    learning = [
        parameter for name, parameter in captioner.named_parameters() if not name.startswith("encoder.")
    ]
    optimizer = torch.optim.AdamW(learning, lr=LEARNING_RATE)
    losses: list[float] = []
    captioner.encoder = _Seen(features)  # type: ignore[assignment]
    try:
        while not losses or (losses[-1] > LEARNED and len(losses) < MOST_STEPS):
            loss = _loss(captioner, images, inputs, targets)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(learning, 5.0)
            optimizer.step()
            losses.append(loss.item())
    finally:
        captioner.encoder = encoder
    return losses


class _Seen(nn.Module):
    """In the encoder's place: what it made of the pictures."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.register_buffer("features", features)

    def forward(self, image: Tensor) -> Tensor:
        assert isinstance(self.features, Tensor)
        return self.features


def _loss(captioner: Captioner, images: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(captioner(images, inputs).flatten(0, 1), targets.flatten())
