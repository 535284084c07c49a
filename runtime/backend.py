"""What the loop asks of a backend: a handful of calls on tensors that only the backend looks into.

Letters: B images, K beams, V vocabulary, P positions. All integer tensors are int32.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from cnnrnn.runtime.questions import Questions
    from cnnrnn.runtime.select import SelectKind

# A tensor of the backend's own kind: an OrtValue, a device buffer, a torch tensor. The loop passes it on,
# and it is valid for as long as the loop holds it.
Tensor = Any
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Encoded:
    """What the encoder made of a batch: ``memory`` (B, ...) for every step, ``state`` (B, ...) for the first.

    The keys are the names without ``memory_`` and ``state_``.
    """

    memory: Tensors
    state: Tensors


@dataclass(frozen=True)
class Stepped:
    """What one decoder step made: ``logits`` (B, K, V) float32, ``state`` (B, K, ...) and, where the model
    has attention, ``alignment`` (B, K, P) float32."""

    logits: Tensor
    state: Tensors
    alignment: Tensor | None


class Backend(Protocol):
    """Runs the three graphs. Calls may come from several threads at once.

    Any method may raise `BackendError`; what `step` and `select` are given is never changed by them.

    Attributes:
        name, precision: what runs.
    """

    name: str
    precision: str

    @property
    def vocabulary(self) -> int:
        """V, the logits of a beam."""
        ...

    def encode(self, images: NDArray[np.uint8], questions: Questions | None = None) -> Encoded:
        """Run the encoder on ``images`` (B, H, W, 3) RGB; or, where it reads questions, on B of these and as
        many images, or one image for them all."""
        ...

    def widen(self, state: Mapping[str, Tensor], beams: int) -> Tensors:
        """Repeat each (B, ...) of the first state K times, to (B, K, ...)."""
        ...

    def step(self, tokens: Tensor, parents: Tensor, state: Tensors, memory: Tensors) -> Stepped:
        """Run one decoder step for ``tokens`` (B, K), each beam's state taken from its parent (B, K)."""
        ...

    def select(self, kind: SelectKind, inputs: Tensors) -> Tensors:
        """Run the select graph of this kind; `cnnrnn.runtime.select.select_spec` lists names and shapes.

        Raises:
            OptionsError, MissingDependencyError: there is no such graph and none can be made.
        """
        ...

    def prepare(self, kind: SelectKind) -> None:
        """Get what `select` of this kind needs, so that an error comes before the encoder runs.

        Raises:
            OptionsError, MissingDependencyError: as `select`.
        """
        ...

    def from_host(self, array: NDArray[Any]) -> Tensor:
        """A tensor of the backend's with the array's values; the array has to stay unchanged."""
        ...

    def to_host(self, tensor: Tensor) -> NDArray[Any]:
        """The tensor's values, as an array of the caller's own."""
        ...

    def close(self) -> None:
        """Give back what the backend holds. Calls that are running end well; closing twice does nothing."""
        ...
