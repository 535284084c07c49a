"""The backend ``torch``: the model itself, as the oracle that exported graphs are compared with.

The encoder, the state and every step come from the torch module by a path that shares nothing with the
exported graphs: preprocessing is written anew from its definition, and beams are reordered by plain indexing.
The search alone is shared, as the search is not what an export changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cnnrnn.core.manifest import ImageSpec
from cnnrnn.export.signature import split_step
from cnnrnn.runtime.backend import Backend, Encoded, Stepped, Tensor, Tensors
from cnnrnn.runtime.questions import Questions
from cnnrnn.runtime.select import SelectKind


class TorchBackend:
    """`cnnrnn.runtime.backend.Backend` over a model that follows `CaptionModel`; tensors are torch tensors.

    Args:
        model: in ``eval`` mode, on the CPU.
        image: how pixels are normalised.
        searcher: another backend, whose select graph is used.
    """

    name = "torch"
    precision = "fp32"

    def __init__(self, model: Any, image: ImageSpec, searcher: Backend) -> None:
        self._model = model
        self._mean = torch.tensor(image.mean).view(1, 3, 1, 1)
        self._std = torch.tensor(image.std).view(1, 3, 1, 1)
        self._searcher = searcher

    @property
    def vocabulary(self) -> int:
        """V, the searcher's."""
        return self._searcher.vocabulary

    @torch.no_grad()
    def encode(self, images: NDArray[np.uint8], questions: Questions | None = None) -> Encoded:
        pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float()
        normalised = (pixels / 255 - self._mean) / self._std
        if questions is None:
            memory = dict(self._model.encode(normalised))
        else:  # each question on its own picture, repeated before the CNN where there is but one
            every = normalised.expand(len(questions), -1, -1, -1)
            asked = (torch.from_numpy(array).long() for array in questions.inputs.values())
            memory = dict(self._model.encode(self._model.encode_image(every), *asked))
        return Encoded(memory, dict(self._model.initial_state(dict(memory))))

    def widen(self, state: Mapping[str, Tensor], beams: int) -> Tensors:
        return {name: torch.stack([tensor] * beams, dim=1) for name, tensor in state.items()}

    @torch.no_grad()
    def step(self, tokens: Tensor, parents: Tensor, state: Tensors, memory: Tensors) -> Stepped:
        images = torch.arange(len(tokens))[:, None]
        own = {name: tensor[images, parents.long()] for name, tensor in state.items()}
        return Stepped(*split_step(self._model.step(tokens.long(), own, dict(memory))))

    def select(self, kind: SelectKind, inputs: Tensors) -> Tensors:
        given = {name: self._searcher.from_host(tensor.numpy()) for name, tensor in inputs.items()}
        found = self._searcher.select(kind, given)
        return {
            name: torch.from_numpy(np.array(self._searcher.to_host(value))) for name, value in found.items()
        }

    def prepare(self, kind: SelectKind) -> None:
        self._searcher.prepare(kind)

    def from_host(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.array(array))

    def to_host(self, tensor: Tensor) -> NDArray[Any]:
        return np.array(tensor.numpy())

    def close(self) -> None:
        """Nothing is held: the model is the caller's."""
