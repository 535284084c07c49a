"""A captioner taught a few pictures, so that what it says is sure enough to be compared between engines."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.models import Captioner

WORDS = 5
LEARNING_RATE = 1e-3
# What the output layer is to say of a caption's next word, the rest being about 0: of 10,000 words it is then
# chosen with a probability of 99.7 %, and by no rounding.
SURE = 15.0
# The stronger, the less the output layer amplifies a rounding; the strongest that learns is taken.
RIDGES = tuple(10.0**-power for power in range(2, 10))
# The scale of a residual branch.
BRANCH = 0.2
# Nats a word: a probability of three quarters, enough to be no tie. More of it costs larger weights.
LEARNED = 0.3


@dataclass(frozen=True)
class Lesson:
    """How it went.

    Attributes:
        without: parameters that got no gradient in the step of the whole network, or one that is not finite.
        before, after: the loss of that step's pictures, nats a word.
        fitted: the loss of all pictures in the end.
    """

    without: tuple[str, ...]
    before: float
    after: float
    fitted: float

    @property
    def learned(self) -> bool:
        """Whether the step reached every parameter and helped, and the captions are known."""
        return not self.without and self.after < self.before and self.fitted <= LEARNED

    def __str__(self) -> str:
        return (
            f"a step took the loss from {self.before:.2f} to {self.after:.2f}, the fit to {self.fitted:.2f}; "
            f"no finite gradient: {', '.join(self.without[:3]) or 'none'}"
        )


def teach(captioner: Captioner, images: Tensor, tokenizer: Tokenizer) -> Lesson:
    """One step of training for the whole network; then the output layer alone is fitted to the captions.

    Recurrent states of random weights tell pictures and places in a caption apart already (Jaeger 2001, echo
    state networks), so that no more than the output layer has to learn, at once and by least squares.

    Args:
        captioner: without dropout and with an output layer of its own; in ``eval`` mode afterwards.
        images: (B, 3, H, W) float32, normalised, of which each gets a caption of random words.
    """
    _quieten(captioner)
    words = torch.randint(4, tokenizer.size, (len(images), WORDS), generator=torch.Generator().manual_seed(1))
    inputs = functional.pad(words, (1, 0), value=tokenizer.start)
    targets = functional.pad(words, (0, 1), value=tokenizer.end)
    few = slice(0, max(2, len(images) // 2))
    without, before, after = _train(captioner, images[few], inputs[few], targets[few])
    _settle(captioner, images)
    return Lesson(without, before, after, _fit(captioner, images, inputs, targets))


@torch.no_grad()
def _quieten(captioner: Captioner) -> None:
    """Residual branches of bottlenecks begin small, as a trained network's are beside what they add to.

    torchvision's ``zero_init_residual`` sets the same scales to 0 (Goyal et al. 2017); so that the branches
    count they get a fifth here. At 1 each of 33 blocks would add its whole noise to what comes.
    """
    for name, module in captioner.encoder.trunk.named_modules():
        if name.endswith(".bn3") and isinstance(module, nn.BatchNorm2d):
            module.weight.fill_(BRANCH)


def _train(
    captioner: Captioner, images: Tensor, inputs: Tensor, targets: Tensor
) -> tuple[tuple[str, ...], float, float]:
    optimizer = torch.optim.AdamW(captioner.parameters(), lr=LEARNING_RATE)
    captioner.train()
    loss = _loss(captioner(images, inputs), targets)
    loss.backward()
    without = tuple(
        name
        for name, parameter in captioner.named_parameters()
        if parameter.grad is None or not bool(parameter.grad.isfinite().all())
    )
    optimizer.step()
    optimizer.zero_grad()
    with torch.no_grad():
        return without, loss.item(), _loss(captioner(images, inputs), targets).item()


@torch.no_grad()
def _settle(captioner: Captioner, images: Tensor) -> None:
    """Batch normalisation learns what these pictures are, in one pass in the place of many.

    The trunk's learns what noise is too, which is what `check_model` shows a model: far from what it knows, a
    deep network of random weights amplifies roundings beyond any tolerance. The features' does not: pictures
    are more like each other than like noise, and are to be told apart.
    """
    for module in captioner.encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(2))
    captioner.encoder(torch.cat([images, noise]))
    captioner.encoder.trunk.eval()
    captioner.encoder(images)
    captioner.eval()


@torch.no_grad()
def _fit(captioner: Captioner, images: Tensor, inputs: Tensor, targets: Tensor) -> float:
    """Ridge regression of the captions' words on what enters the output layer; the loss that is left."""
    output, seen = captioner.decoder.output, []
    handle = output.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    captioner(images, inputs)
    handle.remove()
    entering = torch.cat(seen, dim=1).flatten(0, 1).double()
    used, wanted = targets.flatten().unique(return_inverse=True)
    sure = SURE * functional.one_hot(wanted, len(used)).double()
    products = entering @ entering.T
    scale = products.diagonal().mean() * torch.eye(len(entering), dtype=torch.float64)
    output.bias.zero_()
    loss = float("inf")
    for ridge in RIDGES:
        output.weight[used] = (entering.T @ torch.linalg.solve(products + ridge * scale, sure)).T.float()
        logits = functional.linear(entering.float(), output.weight, output.bias)
        loss = functional.cross_entropy(logits, targets.flatten()).item()
        if loss <= LEARNED:
            break
    return loss


def _loss(logits: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
