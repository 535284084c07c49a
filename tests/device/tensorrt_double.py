"""A TensorRT whose engines run on the host, over the stand-in driver: a module with one version's surface.

Its builder is that of the rigs of `tests/engine`, its runtime is here: what it takes and gives is
TensorRT's, and an engine is the graph itself, run by ONNX Runtime in the order of its stream.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

from cnnrnn.core.errors import BackendError
from cnnrnn.runtime.device.arena import TensorPlace
from cnnrnn.runtime.engine import build
from cnnrnn.runtime.engine.builder import Built
from cnnrnn.runtime.engine.library import MODULES, Library
from cnnrnn.runtime.engine.report import EngineReport, TensorReport
from tests.device.host_engines import SCRATCH_BYTES, enqueue, runs, session
from tests.engine.rigs.recorder import Recorder
from tests.engine.rigs.surface import RTX, Surface

_MARK = b"an engine of the host: "
_DTYPES = {"tensor(uint8)": "uint8", "tensor(int32)": "int32", "tensor(float)": "float32"} | {
    "tensor(float16)": "float16"
}

# The names of the graphs that were built, in order.
built: list[str] = []


class Runtime:
    """``IRuntime``."""

    def __init__(self, logger: Any) -> None:
        assert logger is not None

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> Engine | None:
        if not serialized_engine.startswith(_MARK):
            return None
        return Engine(serialized_engine[len(_MARK) :])


class Engine:
    """``ICudaEngine``."""

    device_memory_size_v2 = SCRATCH_BYTES

    def __init__(self, data: bytes) -> None:
        header, _, graph = data.partition(b"\n")
        self.name, self.inputs, self.outputs = json.loads(header)
        self.function = runs(graph)

    def create_execution_context(self, strategy: Any) -> ExecutionContext:
        assert strategy.name == "USER_MANAGED"
        return ExecutionContext(self)


class ExecutionContext:
    """``IExecutionContext``."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._addresses, self._scratch = engine, dict[str, int](), 0

    def set_device_memory(self, memory: int, size: int) -> None:
        assert size == SCRATCH_BYTES
        assert memory % 256 == 0
        self._scratch = memory

    def set_tensor_address(self, name: str, memory: int) -> bool:
        if name not in self._engine.inputs and name not in self._engine.outputs:
            return False
        assert memory % 256 == 0
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert self._scratch
        reads, writes = (
            {
                name: TensorPlace(dtype, tuple(shape), 0, self._addresses[name])
                for name, (dtype, shape) in tensors.items()
            }
            for tensors in (self._engine.inputs, self._engine.outputs)
        )
        try:
            enqueue(stream_handle, self._engine.name, self._engine.function, reads, writes)
        except BackendError:
            return False
        return True


def install(name: str) -> None:
    """Let this process find it, as TensorRT of this version or as TensorRT-RTX; call once."""
    module = Recorder(Surface.load(name)).module
    module.Runtime = Runtime
    module.__version__ = name.removeprefix("rtx-")
    sys.modules[MODULES["tensorrt-rtx" if name == RTX else "tensorrt"][0]] = module
    build.build_engine = _build


def _build(library: Library, graph: bytes, shapes: Any, options: Any, **told: Any) -> Built:
    """In the place of `cnnrnn.runtime.engine.builder.build_engine`, which the tests of that try."""
    built.append(told["name"])
    told["progress"](0.5, "building")
    ort = session(graph)
    kinds = {tensor.name: _DTYPES[tensor.type] for tensor in (*ort.get_inputs(), *ort.get_outputs())}
    zeros = {name: np.zeros(shape, kinds[name]) for name, shape in shapes.items()}
    made = runs(graph)(zeros)
    inputs = {name: (kinds[name], shape) for name, shape in shapes.items()}
    outputs = {name: (kinds[name], array.shape) for name, array in made.items()}
    header = json.dumps([told["name"], inputs, outputs]).encode()
    report = EngineReport(
        name=str(told["name"]),
        library=library.name,
        version=library.version,
        architecture=options.architecture,
        inputs=_reported(inputs),
        outputs=_reported(outputs),
        layers=1,
        casts=0,
        float_casts=0,
        layer_types={},
        engine_layers=None,
        bytes=len(graph),
        build_seconds=0.0,
        weights_bytes=None,
        activation_bytes=None,
        warnings=(),
    )
    return Built(_MARK + header + b"\n" + graph, report)


def _reported(tensors: dict[str, tuple[str, Any]]) -> tuple[TensorReport, ...]:
    return tuple(TensorReport(name, dtype, tuple(shape)) for name, (dtype, shape) in tensors.items())
