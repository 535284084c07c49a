"""ONNX Runtime's CUDA provider on buffers of ours: the backend ``ort-cuda``.

A session of ONNX Runtime computes on one stream, which it is given when it is made: so there is one stream,
and searches take turns on it. Nothing is captured: what ONNX Runtime does beside its kernels is its own.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnrnn.core.errors import BackendError, MissingDependencyError, OptionsError
from cnnrnn.core.extras import require
from cnnrnn.core.manifest import GraphSpec
from cnnrnn.runtime.device.arena import TensorPlace
from cnnrnn.runtime.device.options import OrtProvider
from cnnrnn.runtime.device.protocol import Device
from cnnrnn.runtime.device.tensors import Role
from cnnrnn.runtime.graph_check import check_tensors

_PROVIDERS = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}

_log = logging.getLogger(__name__)


class OrtCudaSource:
    """See `cnnrnn.runtime.device.engines.Source`; made within the device's context.

    Args:
        precision: of the graphs.
        provider: ``"cuda"``, or ``"tensorrt"``: what that has no kernel for then runs on CUDA.

    Raises:
        MissingDependencyError: ONNX Runtime is not installed, or without that provider.
        OptionsError: a precision that it does not run here.
    """

    captures = False
    any_size = True

    def __init__(
        self, device: Device, precision: str, ordinal: int = 0, provider: OrtProvider = "cuda"
    ) -> None:
        if precision == "bf16":
            raise OptionsError(
                "precision='bf16' is not run by ort-cuda: NumPy has no such type to bind buffers by; give "
                "'fp16' or 'fp32'"
            )
        self._ort = require("onnxruntime", "gpu")
        there = self._ort.get_available_providers()
        wanted = _PROVIDERS[provider]
        if wanted not in there:
            raise MissingDependencyError(
                f"ONNX Runtime {self._ort.__version__} has no {wanted} here, only {', '.join(there)}. "
                "The package for CPUs hides the one for GPUs: pip uninstall onnxruntime; "
                "pip install 'cnnrnn[gpu]'",
                name="onnxruntime-gpu",
            )
        self._ordinal = ordinal
        self._names = [wanted] if provider == "cuda" else [wanted, _PROVIDERS["cuda"]]
        self.stream = device.stream()

    def engine(self, role: Role, spec: GraphSpec, graph: bytes, letters: Mapping[str, int]) -> OrtEngine:
        session = self._session(spec, graph, on_gpu_alone=True)
        check_tensors(spec, session.get_inputs(), session.get_outputs())
        return OrtEngine(self._ort, session, spec, self._ordinal)

    def close(self) -> None:
        self.stream.close()

    def _session(self, spec: GraphSpec, graph: bytes, *, on_gpu_alone: bool) -> Any:
        options = self._ort.SessionOptions()
        options.log_severity_level = 3
        if on_gpu_alone:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        own = {"device_id": str(self._ordinal), "user_compute_stream": str(self.stream.handle)}
        try:
            return self._ort.InferenceSession(
                graph, options, providers=[(name, dict(own)) for name in self._names]
            )
        except Exception as error:  # ONNX Runtime's exceptions have no common base but Exception
            if not on_gpu_alone:
                raise BackendError(
                    f"ONNX Runtime {self._ort.__version__} cannot load {spec.file} for a GPU: {error}"
                ) from error
            said = str(error)
        session = self._session(spec, graph, on_gpu_alone=False)
        _log.warning("%s: ONNX Runtime runs a part of it on the CPU, which costs copies: %s", spec.file, said)
        return session


class OrtEngine:
    """See `cnnrnn.runtime.device.engines.Engine`; what it works in is ONNX Runtime's own."""

    scratch_bytes = 0

    def __init__(self, ort: Any, session: Any, spec: GraphSpec, ordinal: int) -> None:
        self._ort, self._spec, self._ordinal = ort, spec, ordinal
        self._session: Any = session

    def context(self, places: Mapping[str, TensorPlace], scratch: int) -> OrtContext:
        binding = self._session.io_binding()
        for tensors, bind in (
            (self._spec.inputs, binding.bind_input),
            (self._spec.outputs, binding.bind_output),
        ):
            for tensor in tensors:
                place = places[tensor.name]
                bind(
                    tensor.name,
                    "cuda",
                    self._ordinal,
                    np.dtype(place.dtype),
                    list(place.shape),
                    place.address,
                )
        return OrtContext(self._ort, self._session, binding, self._spec.file)

    def close(self) -> None:
        self._session = None


class OrtContext:
    """See `cnnrnn.runtime.device.engines.Context`; it queues on the stream of its source alone."""

    def __init__(self, ort: Any, session: Any, binding: Any, file: str) -> None:
        self._session: Any = session
        self._binding: Any = binding
        self._file = file
        self._options = ort.RunOptions()
        # Else every run ends with a wait for the device.
        self._options.add_run_config_entry("disable_synchronize_execution_providers", "1")

    def enqueue(self, stream: int) -> None:
        try:
            self._session.run_with_iobinding(self._binding, self._options)
        except Exception as error:  # as above
            raise BackendError(f"ONNX Runtime failed in {self._file}: {error}") from error

    def close(self) -> None:
        self._session = self._binding = None
