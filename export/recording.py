"""A backend that notes every tensor which passes: what two backends are compared by, step for step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnrnn.runtime.backend import Backend, Encoded, Stepped, Tensor, Tensors
from cnnrnn.runtime.questions import Questions
from cnnrnn.runtime.select import SelectKind

Arrays = dict[str, NDArray[Any]]


class Recording:
    """`cnnrnn.runtime.backend.Backend` that passes every call on to another and keeps the results.

    The same array of pictures with the same questions, searched again, is not encoded again.

    Attributes:
        encoded: ``memory_NAME`` and ``state_NAME``, (B, ...), of the last `encode`.
        steps: of each `step` since then ``logits`` (B, K, V), ``next_state_NAME`` (B, K, ...), ``alignment``;
            all on the host.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.name, self.precision, self.vocabulary = backend.name, backend.precision, backend.vocabulary
        self.encoded: Arrays = {}
        self.steps: list[Arrays] = []
        self._last: tuple[NDArray[np.uint8], Questions | None, Encoded] | None = None

    def encode(self, images: NDArray[np.uint8], questions: Questions | None = None) -> Encoded:
        self.steps = []
        if self._last is None or self._last[0] is not images or self._last[1] is not questions:
            given = () if questions is None else (questions,)
            encoded = self._backend.encode(images, *given)
            self.encoded = self._named("memory_", encoded.memory) | self._named("state_", encoded.state)
            self._last = images, questions, encoded
        return self._last[2]

    def widen(self, state: Mapping[str, Tensor], beams: int) -> Tensors:
        return self._backend.widen(state, beams)

    def step(self, tokens: Tensor, parents: Tensor, state: Tensors, memory: Tensors) -> Stepped:
        stepped = self._backend.step(tokens, parents, state, memory)
        arrays = {
            "logits": self._backend.to_host(stepped.logits),
            **self._named("next_state_", stepped.state),
        }
        if stepped.alignment is not None:
            arrays["alignment"] = self._backend.to_host(stepped.alignment)
        self.steps.append(arrays)
        return stepped

    def select(self, kind: SelectKind, inputs: Tensors) -> Tensors:
        return self._backend.select(kind, inputs)

    def prepare(self, kind: SelectKind) -> None:
        self._backend.prepare(kind)

    def from_host(self, array: NDArray[Any]) -> Tensor:
        return self._backend.from_host(array)

    def to_host(self, tensor: Tensor) -> NDArray[Any]:
        return self._backend.to_host(tensor)

    def close(self) -> None:
        self._backend.close()

    def _named(self, prefix: str, tensors: Tensors) -> Arrays:
        return {prefix + name: self._backend.to_host(tensor) for name, tensor in tensors.items()}
