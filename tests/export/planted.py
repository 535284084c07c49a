"""The oracle with a fault of the test's own, and the search alone: what the gates are tried with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnrnn.export.torch_backend import TorchBackend
from cnnrnn.runtime.backend import Encoded, Stepped, Tensor, Tensors
from cnnrnn.runtime.select import SelectKind, make_select, select_spec


class Searcher:
    """The select graphs alone, over ONNX Runtime."""

    vocabulary = 12

    def __init__(self) -> None:
        import onnxruntime

        self._ort = onnxruntime
        self._sessions: dict[SelectKind, Any] = {}

    def select(self, kind: SelectKind, inputs: dict[str, Any]) -> dict[str, Any]:
        if kind not in self._sessions:
            data = make_select(kind)
            self._sessions[kind] = self._ort.InferenceSession(data, providers=["CPUExecutionProvider"])
        names = [spec.name for spec in select_spec("", kind).outputs]
        return dict(zip(names, self._sessions[kind].run(names, inputs), strict=True))

    def prepare(self, kind: SelectKind) -> None:
        """Sessions are made when they are needed."""

    def from_host(self, array: Any) -> Any:
        return array

    def to_host(self, tensor: Any) -> Any:
        return tensor


class Planted(TorchBackend):
    """The oracle with a fault: ``spoil(step number, stepped)`` and ``spoil_encoded`` may change results."""

    spoil: Callable[[int, Stepped], Stepped] = staticmethod(lambda step, stepped: stepped)
    spoil_encoded: Callable[[Encoded], Encoded] = staticmethod(lambda encoded: encoded)
    _step_number = 0

    def encode(self, images: Any, questions: Any = None) -> Encoded:
        return self.spoil_encoded(super().encode(images, questions))

    def widen(self, state: Mapping[str, Tensor], beams: int) -> Tensors:
        self._step_number = 0  # a search begins
        return super().widen(state, beams)

    def step(self, tokens: Tensor, parents: Tensor, state: Tensors, memory: Tensors) -> Stepped:
        stepped = self.spoil(self._step_number, super().step(tokens, parents, state, memory))
        self._step_number += 1
        return stepped
