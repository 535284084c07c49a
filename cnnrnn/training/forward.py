"""The model as training runs it: a batch's memory, and one step further, in the wanted precision."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cnnrnn.core.manifest import ImageSpec
from cnnrnn.data.dataset import Batch
from cnnrnn.models import Model
from cnnrnn.training.optim_config import OptimConfig

State = dict[str, Tensor]


class Normalise:
    """(B, 3, H, W) uint8 to float32 by the image's mean and deviation, as the encoder graph does it."""

    def __init__(self, image: ImageSpec, device: torch.device) -> None:
        self.device = device
        self.mean = 255 * torch.tensor(image.mean, device=device).view(3, 1, 1)
        self.std = 255 * torch.tensor(image.std, device=device).view(3, 1, 1)

    def __call__(self, images: Tensor) -> Tensor:
        pixels = images.to(self.device, memory_format=torch.channels_last, non_blocking=True)
        return (pixels.float() - self.mean) / self.std


class Forward(nn.Module):
    """A model between batches and logits, unrolled by the same ``step`` that is exported.

    Args:
        model: the captioner or answerer, on its device.
        normalise: what pixels become.
        options: ``mixed_precision`` and ``compile`` are read.
    """

    def __init__(self, model: Model, normalise: Normalise, options: OptimConfig) -> None:
        super().__init__()
        self.model = model
        self.normalise = normalise
        self._mixed = options.mixed_precision
        self._step: Callable[..., tuple[Any, ...]] = model.step
        if options.compile:
            # In place: the module keeps its names, so that checkpoints do not tell.
            model.encoder.compile()
            self._step = torch.compile(model.step)

    @property
    def device(self) -> torch.device:
        """Where tensors have to be."""
        return self.normalise.device

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision of ``mixed_precision``."""
        kind = torch.float16 if self._mixed == "fp16" else torch.bfloat16
        return torch.autocast(self.device.type, kind, enabled=self._mixed != "off")

    def memory(self, batch: Batch) -> State:
        """What the decoder looks at, (B, ...) by name."""
        asked = [tensor.to(self.device, non_blocking=True) for tensor in batch.asked]
        rows = batch.rows[0].to(self.device, non_blocking=True) if batch.rows else None
        memory: State = self.model.memory(self.normalise(batch.images), *asked, rows=rows)
        return memory

    def start(self, batch: Batch) -> tuple[State, State]:
        """The memory of a batch, (B, ...), and its states before the start token, (B, 1, ...)."""
        memory = self.memory(batch)
        state = self.model.initial_state(memory)
        return memory, {name: value.unsqueeze(1) for name, value in state.items()}

    def step(self, tokens: Tensor, state: State, memory: State) -> tuple[Tensor, State]:
        """One word further for (B, K) tokens: (B, K, V) logits and the next states."""
        logits, state, *_ = self._step(tokens, state, memory)
        return logits, state

    def logits(self, batch: Batch, own_words: float = 0.0) -> Tensor:
        """Logits of each next word, (B, T, V) float32.

        Args:
            batch: with the captions' words as inputs.
            own_words: probability that a word's input is drawn from the model's own distribution of it in
                place of the caption's word: scheduled sampling (Bengio et al. 2015), each word for itself.
        """
        inputs = batch.inputs.to(self.device, non_blocking=True)
        with self.autocast():
            memory, state = self.start(batch)
            columns: list[Tensor] = []
            for tokens in inputs.unbind(dim=1):
                if columns and own_words:
                    tokens = _some_own(tokens, columns[-1].detach()[:, 0], own_words)
                logits, state = self.step(tokens.unsqueeze(1), state, memory)
                columns.append(logits)
            return torch.cat(columns, dim=1).float()


def _some_own(words: Tensor, logits: Tensor, own_words: float) -> Tensor:
    """(B,) the captions' words, some of them put in place by draws from the (B, V) logits."""
    drawn = torch.multinomial(functional.softmax(logits.float(), dim=-1), 1)[:, 0]
    return torch.where(torch.rand(words.shape, device=words.device) < own_words, drawn, words)
