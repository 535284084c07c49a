"""The select graph through a whole search: what it remembers from one step to the next."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from cnnrnn.core.errors import BackendError
from cnnrnn.runtime.backend import Backend, Tensor, Tensors
from cnnrnn.runtime.search_inputs import Arrays
from cnnrnn.runtime.select import SelectKind


class Selected(NamedTuple):
    """What one step chose, (B, K) each, see `cnnrnn.runtime.loop.Steps`; valid for as long as it is held."""

    tokens: Tensor
    parents: Tensor
    scores: Tensor


class Selecting(Protocol):
    """The select graph of one search."""

    def step(self, logits: Tensor, alignment: Tensor | None) -> tuple[Selected, bool]:
        """Choose what follows these logits (B, K, V), and say whether all images are done."""
        ...

    @property
    def state(self) -> Tensors:
        """The search's state after the last step, by the names of `cnnrnn.runtime.select.select_spec`; valid
        until the next."""
        ...


@runtime_checkable
class BindsSelect(Protocol):
    """A backend that can keep a search's state in buffers of its own, which is faster than to pass it on."""

    def bind_select(self, kind: SelectKind, state: Arrays, constants: Arrays) -> Selecting:
        """The select graph of this kind, for one search that starts in this state.

        Raises:
            OptionsError, MissingDependencyError: as `Backend.select`.
        """
        ...


def selecting(backend: Backend, kind: SelectKind, state: Arrays, constants: Arrays) -> Selecting:
    """The select graph of one search, in the backend's own buffers where it has such."""
    if isinstance(backend, BindsSelect) and not kind.coverage:  # a coverage's shape is known after a step
        return backend.bind_select(kind, state, constants)
    return _PassedOn(backend, kind, state, constants)


class _PassedOn:
    """State that is given to each step and taken from it."""

    def __init__(self, backend: Backend, kind: SelectKind, state: Arrays, constants: Arrays) -> None:
        self._backend, self._kind = backend, kind
        self._constants = {name: backend.from_host(array) for name, array in constants.items()}
        self.state: Tensors = {name: backend.from_host(array) for name, array in state.items()}

    def step(self, logits: Tensor, alignment: Tensor | None) -> tuple[Selected, bool]:
        inputs = {"logits": logits, **self.state, **self._constants}
        if self._kind.coverage:
            inputs |= self._coverage(alignment)
        found = self._backend.select(self._kind, inputs)
        self.state = {name[len("next_") :]: found[name] for name in found if name.startswith("next_")}
        chosen = Selected(found["tokens"], found["parents"], self.state["scores"])
        return chosen, bool(self._backend.to_host(found["all_done"])[0])

    def _coverage(self, alignment: Tensor | None) -> Tensors:
        """This step's alignment and, in the first step, a coverage of nothing in its shape."""
        if alignment is None:
            raise BackendError(
                f"coverage_penalty needs an alignment, and the decoder of {self._backend.name} gives none"
            )
        if "coverage" in self.state:
            return {"alignment": alignment}
        nothing = np.zeros_like(self._backend.to_host(alignment))
        return {"alignment": alignment, "coverage": self._backend.from_host(nothing)}
