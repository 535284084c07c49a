"""The backend ``ort-cpu``: ONNX Runtime on the CPU, one session a graph.

Between the encoder and the back-trace no tensor of a model is copied: those are OrtValues from one step to
the next. What `select` makes are small NumPy arrays, since an OrtValue for each of its many tensors would
take a third of its time; it reads the logits where they are.

Sessions run their nodes one after the other, on one thread per physical core, and their threads sleep
while they wait: with ONNX Runtime's default of spinning, the threads of one session keep the cores busy
while those of the next need them. `select` is too small to gain from a second thread.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnrnn.core.errors import BackendError, ClosedError, OptionsError
from cnnrnn.core.extras import require
from cnnrnn.core.manifest import GraphSpec
from cnnrnn.runtime.backend import Encoded, Stepped, Tensor, Tensors
from cnnrnn.runtime.graph_check import check_contract, check_tensors
from cnnrnn.runtime.graphs import Graphs, select_graph
from cnnrnn.runtime.ort_select import BoundSelect
from cnnrnn.runtime.questions import Questions
from cnnrnn.runtime.search_inputs import Arrays
from cnnrnn.runtime.select import SelectKind
from cnnrnn.runtime.threads import physical_cores

NAME = "ort-cpu"

# Select graphs that stay loaded: each top_k is one, and a server may be asked for them all.
MAX_SELECTS = 64

_log = logging.getLogger(__name__)


class OrtCpuBackend:
    """See `cnnrnn.runtime.backend.Backend`, whose methods these are; safe to call from several threads.

    Args:
        graphs: what to run.
        threads: of the encoder and step sessions; by default one per physical core.
        spinning: let idle threads spin, as ONNX Runtime does by default; `benchmarks/threads.py` compares.

    Raises:
        BundleError: a graph's tensors are not what the manifest says.
        BackendError: ONNX Runtime cannot load a graph.
        MissingDependencyError: ``onnxruntime`` is not installed.
        OptionsError: ``threads`` is below 1.
    """

    name = NAME

    def __init__(self, graphs: Graphs, threads: int | None = None, *, spinning: bool = False) -> None:
        if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
            raise OptionsError(
                f"threads={threads!r}; give an integer from 1, or none at all for the physical cores"
            )
        self.precision = graphs.precision
        self.vocabulary = graphs.manifest.vocabulary.size
        self.threads = threads or physical_cores()
        self._ort = require("onnxruntime", "cpu")
        self._graphs = graphs
        self._spinning = spinning
        manifest = graphs.manifest
        check_contract(manifest, graphs.precision)
        pair = manifest.precisions[graphs.precision]
        self._encoder_spec, self._step_spec = pair["encoder"], pair["step"]
        self._encoder = self._session(self._encoder_spec, graphs.read(self._encoder_spec.file), self.threads)
        self._step = self._session(self._step_spec, graphs.read(self._step_spec.file), self.threads)
        self._step_outputs = [tensor.name for tensor in self._step_spec.outputs]
        self._step_inputs = {tensor.name for tensor in self._step_spec.inputs}
        self._selects: dict[SelectKind, tuple[Any, list[str]]] = {}
        self._lock = threading.Lock()
        self._closed = False

    def encode(self, images: NDArray[np.uint8], questions: Questions | None = None) -> Encoded:
        names = [tensor.name for tensor in self._encoder_spec.outputs]
        given = {"image": images} if questions is None else {"image": images, **questions.inputs}
        feeds = {name: self.from_host(array) for name, array in given.items()}
        found = self._run(self._encoder, self._encoder_spec.file, names, feeds)
        return Encoded(memory=_with_prefix(found, "memory_"), state=_with_prefix(found, "state_"))

    def widen(self, state: Mapping[str, Tensor], beams: int) -> Tensors:
        return {
            name: self.from_host(np.repeat(self.to_host(tensor)[:, None], beams, axis=1))
            for name, tensor in state.items()
        }

    def step(self, tokens: Tensor, parents: Tensor, state: Tensors, memory: Tensors) -> Stepped:
        feeds = {"tokens": tokens, "parents": parents}
        feeds.update((f"state_{name}", tensor) for name, tensor in state.items())
        feeds.update(
            (f"memory_{name}", tensor)
            for name, tensor in memory.items()
            if f"memory_{name}" in self._step_inputs
        )
        found = self._run(self._step, self._step_spec.file, self._step_outputs, feeds)
        return Stepped(found["logits"], _with_prefix(found, "next_state_"), found.get("alignment"))

    def select(self, kind: SelectKind, inputs: Tensors) -> Tensors:
        session, names = self._select(kind)
        try:
            return dict(zip(names, session.run(names, inputs), strict=True))
        except Exception as error:  # as in _session
            raise BackendError(f"ONNX Runtime failed in select {kind.name}: {error}") from error

    def bind_select(self, kind: SelectKind, state: Arrays, constants: Arrays) -> BoundSelect:
        session, _ = self._select(kind)
        return BoundSelect(self._ort, session, f"select {kind.name}", state, constants)

    def prepare(self, kind: SelectKind) -> None:
        self._select(kind)

    def from_host(self, array: NDArray[Any]) -> Tensor:
        return np.ascontiguousarray(array)

    def to_host(self, tensor: Tensor) -> NDArray[Any]:
        array: NDArray[Any] = tensor if isinstance(tensor, np.ndarray) else tensor.numpy()
        return array

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._encoder = self._step = None
            self._selects = {}

    def _select(self, kind: SelectKind) -> tuple[Any, list[str]]:
        with self._lock:
            if self._closed:
                raise ClosedError("the backend is closed; load the bundle again")
            made = self._selects.pop(kind, None)
            if made is None:
                spec, data = select_graph(self._graphs, kind)
                made = self._session(spec, data, 1), [tensor.name for tensor in spec.outputs]
            self._selects[kind] = made
            if len(self._selects) > MAX_SELECTS:
                del self._selects[next(iter(self._selects))]  # the one that was asked for longest ago
            return made

    def _session(self, spec: GraphSpec, data: bytes, threads: int) -> Any:
        try:
            session = self._ort.InferenceSession(
                data, self._options(spec, threads), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's exceptions have no common base but Exception
            raise BackendError(
                f"ONNX Runtime {self._ort.__version__} cannot load {spec.file}: {error}"
            ) from error
        check_tensors(spec, session.get_inputs(), session.get_outputs())
        return session

    def _options(self, spec: GraphSpec, threads: int) -> Any:
        """How a graph's session runs."""
        options = self._ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = self._ort.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(self._spinning)))
        return options

    def _ort_value(self, tensor: Tensor) -> Any:
        return self._ort.OrtValue.ortvalue_from_numpy(tensor) if isinstance(tensor, np.ndarray) else tensor

    def _run(self, session: Any, what: str, names: list[str], feeds: Tensors) -> Tensors:
        if session is None:
            raise ClosedError("the backend is closed; load the bundle again")
        values = {name: self._ort_value(tensor) for name, tensor in feeds.items()}
        try:
            return dict(zip(names, session.run_with_ort_values(names, values), strict=True))
        except Exception as error:  # as above
            raise BackendError(f"ONNX Runtime failed in {what}: {error}") from error


def _with_prefix(tensors: Tensors, prefix: str) -> Tensors:
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
