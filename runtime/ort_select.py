"""A select graph of ONNX Runtime on buffers that stay for a whole search.

It is made of dozens of small tensors, and to hand each to Python and back takes longer than the graph itself.
So the state is kept twice: each step reads the one and writes the other, and only the logits are bound anew.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from cnnrnn.core.errors import BackendError
from cnnrnn.runtime.backend import Tensor, Tensors
from cnnrnn.runtime.search_inputs import Arrays
from cnnrnn.runtime.selecting import Selected


class BoundSelect:
    """See `cnnrnn.runtime.selecting.Selecting`; one search, one thread.

    Args:
        ort: the package ``onnxruntime``.
        session: of the select graph.
        what: the graph is, in messages.
        state, constants: before the first step; they are copied, and read, respectively.
    """

    def __init__(self, ort: ModuleType, session: Any, what: str, state: Arrays, constants: Arrays) -> None:
        self._session, self._what, self._turn = session, what, 0
        shape = state["scores"].shape
        self._tokens, self._parents = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        self._all_done = np.zeros(1, np.int32)
        self._states = [{name: np.array(array) for name, array in state.items()} for _ in range(2)]
        # The arrays are the memory of the values that are bound, and a binding does not keep them alive.
        self._constants = {name: np.ascontiguousarray(array) for name, array in constants.items()}
        made = {"tokens": self._tokens, "parents": self._parents, "all_done": self._all_done}
        same, chosen, *states = [
            {name: ort.OrtValue.ortvalue_from_numpy(array) for name, array in arrays.items()}
            for arrays in (self._constants, made, *self._states)
        ]
        self._bindings = [
            _binding(session, same | states[turn], chosen | _next(states[1 - turn])) for turn in range(2)
        ]

    @property
    def state(self) -> Tensors:
        return self._states[self._turn]

    def step(self, logits: Tensor, alignment: Tensor | None) -> tuple[Selected, bool]:
        binding = self._bindings[self._turn]
        try:
            binding.bind_ortvalue_input("logits", logits)
            self._session.run_with_iobinding(binding)
        except Exception as error:  # ONNX Runtime's exceptions have no common base but Exception
            raise BackendError(f"ONNX Runtime failed in {self._what}: {error}") from error
        self._turn = 1 - self._turn
        # The buffers are written again in the next steps, and what was chosen is kept.
        scores = self._states[self._turn]["scores"].copy()
        return Selected(self._tokens.copy(), self._parents.copy(), scores), bool(self._all_done[0])


def _next(state: Tensors) -> Tensors:
    return {f"next_{name}": value for name, value in state.items()}


def _binding(session: Any, inputs: Tensors, outputs: Tensors) -> Any:
    binding = session.io_binding()
    for name, value in inputs.items():
        binding.bind_ortvalue_input(name, value)
    for name, value in outputs.items():
        binding.bind_ortvalue_output(name, value)
    return binding
