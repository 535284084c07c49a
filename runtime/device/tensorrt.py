"""Engines of TensorRT and TensorRT-RTX, bound to buffers of ours: the backends ``tensorrt`` and
``tensorrt-rtx``.

They come from the cache of built engines, and are built where it has none (`cnnrnn.runtime.engine`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from cnnrnn.core.errors import BackendError, EngineError, NoDeviceError
from cnnrnn.core.manifest import GraphSpec
from cnnrnn.runtime.device.arena import TensorPlace
from cnnrnn.runtime.device.protocol import Stream
from cnnrnn.runtime.device.tensors import Role
from cnnrnn.runtime.engine.bucket import input_shapes, output_shapes
from cnnrnn.runtime.engine.build import BuildPlan, BuildWatcher, PlannedEngine, check_target, fetch_engine
from cnnrnn.runtime.engine.cache import EngineCache
from cnnrnn.runtime.engine.device import find_device
from cnnrnn.runtime.engine.library import Library, load_library
from cnnrnn.runtime.engine.log import Messages, listening
from cnnrnn.runtime.engine.options import BuildOptions

_log = logging.getLogger(__name__)


class TensorRtSource:
    """See `cnnrnn.runtime.device.engines.Source`.

    Args:
        backend: ``"tensorrt"`` or ``"tensorrt-rtx"``.
        ordinal: the GPU's number.
        options: how engines are built.
        cache: of built engines; the default folder's by default.

    Raises:
        MissingDependencyError: TensorRT is not installed.
        NoDeviceError: there is no GPU of this number.
        OptionsError: an option that this TensorRT does not have.
    """

    captures = True
    any_size = False
    stream: Stream | None = None

    def __init__(
        self,
        backend: str,
        precision: str,
        ordinal: int = 0,
        options: BuildOptions | None = None,
        cache: EngineCache | None = None,
    ) -> None:
        library = load_library(backend)
        device = find_device(ordinal)
        if device is None:  # TensorRT's runtime ends the process then
            raise NoDeviceError(
                f"GPU {ordinal} cannot be used by {library.title}. nvidia-smi lists the GPUs of this "
                "machine; without one, use the backend ort-cpu"
            )
        chosen = check_target(library, precision, options or BuildOptions(), device)
        self._plan = BuildPlan(library, device, chosen, precision, ())
        self._cache = cache or EngineCache()
        with listening(library.module) as (logger, messages):
            self._runtime = library.module.Runtime(logger)
            if self._runtime is None:
                raise BackendError(f"{library.title} does not start{_said(messages)}")

    def engine(self, role: Role, spec: GraphSpec, graph: bytes, letters: Mapping[str, int]) -> TensorRtEngine:
        planned = PlannedEngine(
            role=role,
            spec=spec,
            images=letters["B"],
            beams=None if role == "encoder" else letters["K"],
            graph=graph,
            inputs=input_shapes(spec, letters),
            outputs=output_shapes(spec, letters),
        )
        library = self._plan.library
        cached = fetch_engine(self._plan, planned, self._cache, _Telling(library, planned))
        return TensorRtEngine(library, self._runtime, cached.engine, planned.name)

    def close(self) -> None:
        self._runtime = None


class TensorRtEngine:
    """See `cnnrnn.runtime.device.engines.Engine`.

    Args:
        runtime: TensorRT's.
        data: the serialised engine.
        name: of the graph and its size, for messages.

    Raises:
        EngineError: TensorRT does not take it.
    """

    def __init__(self, library: Library, runtime: Any, data: bytes, name: str) -> None:
        self._library, self._name = library, name
        with listening(library.module) as (_, messages):
            self._engine: Any = runtime.deserialize_cuda_engine(data)
            if self._engine is None:
                raise EngineError(
                    f"{library.title} does not load the engine of {name}{_said(messages)}; where memory is "
                    "short, close what else uses the GPU, else remove the engine (cnnrnn inspect --cache "
                    "lists them) and build it again on this machine"
                )

    @property
    def scratch_bytes(self) -> int:
        return int(self._engine.device_memory_size_v2)

    def context(self, places: Mapping[str, TensorPlace], scratch: int) -> TensorRtContext:
        return TensorRtContext(self._library, self._engine, self._name, places, scratch)

    def close(self) -> None:
        self._engine = None


class TensorRtContext:
    """See `cnnrnn.runtime.device.engines.Context`. Its addresses are set once, and never again.

    Raises:
        BackendError: TensorRT refused.
    """

    def __init__(
        self, library: Library, engine: Any, name: str, places: Mapping[str, TensorPlace], scratch: int
    ) -> None:
        self._library, self._name = library, name
        strategy = library.module.ExecutionContextAllocationStrategy.USER_MANAGED
        with listening(library.module) as (_, messages):
            self._context: Any = engine.create_execution_context(strategy)
            if self._context is None:
                raise self._refused("makes no context", messages)
            if scratch:
                self._context.set_device_memory(scratch, int(engine.device_memory_size_v2))
            for tensor, place in places.items():
                if not self._context.set_tensor_address(tensor, place.address):
                    raise self._refused(f"does not take an address for {tensor!r}", messages)

    def enqueue(self, stream: int) -> None:
        if not self._context.execute_async_v3(stream):
            raise BackendError(
                f"{self._library.title} did not queue {self._name}; its reason is in the log of "
                "cnnrnn.runtime.engine.log"
            )

    def close(self) -> None:
        self._context = None

    def _refused(self, what: str, messages: Messages) -> BackendError:
        return BackendError(f"{self._library.title} {what} of {self._name}{_said(messages)}")


class _Telling(BuildWatcher):
    """Says in the log that an engine is being built, which takes seconds that nobody may have expected."""

    def __init__(self, library: Library, planned: PlannedEngine) -> None:
        self._title, self._name, self._told = library.title, planned.name, False

    def progress(self, share: float, phase: str) -> None:
        if not self._told:
            self._told = True
            _log.warning(
                "%s: the cache has no engine of %s; it is being built now. cnnrnn build makes engines ahead",
                self._title,
                self._name,
            )

    def waiting(self) -> None:
        _log.warning("%s: another process builds the engine of %s; it is waited for", self._title, self._name)


def _said(messages: Messages) -> str:
    """What TensorRT said of it, behind a colon; nothing if it said nothing."""
    errors = messages.errors()
    return f": {errors[-1]}" if errors else ""
