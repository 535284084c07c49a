"""An ``onnxruntime`` with a CUDA provider that runs on the host, over the stand-in driver.

What it takes is what the real package takes: its sessions, bindings and options are that package's, whose
CUDA provider needs a GPU. A run with a binding is work on the stream that the session was given.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import onnxruntime

from cnnrnn.core.errors import BackendError
from cnnrnn.runtime.device.arena import TensorPlace
from tests.device.host_engines import enqueue, session

PROVIDERS = ["CUDAExecutionProvider", "CPUExecutionProvider"]


class RunOptions:
    """Wants to be told not to wait."""

    def __init__(self) -> None:
        self.entries: dict[str, str] = {}

    def add_run_config_entry(self, key: str, value: str) -> None:
        onnxruntime.RunOptions().add_run_config_entry(key, value)  # the real one takes it
        self.entries[key] = value


class Binding:
    """``IOBinding``, of buffers on the device alone."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.reads: dict[str, TensorPlace] = {}
        self.writes: dict[str, TensorPlace] = {}

    def bind_input(
        self, name: str, device_type: str, device_id: int, element_type: Any, shape: Any, buffer_ptr: int
    ) -> None:
        self._real.bind_input(name, "cpu", 0, element_type, shape, buffer_ptr)
        assert (device_type, device_id) == ("cuda", 0)
        self.reads[name] = TensorPlace(str(element_type), tuple(shape), 0, buffer_ptr)

    def bind_output(
        self, name: str, device_type: str, device_id: int, element_type: Any, shape: Any, buffer_ptr: int
    ) -> None:
        self._real.bind_output(name, "cpu", 0, element_type, shape, buffer_ptr)
        assert (device_type, device_id) == ("cuda", 0)
        self.writes[name] = TensorPlace(str(element_type), tuple(shape), 0, buffer_ptr)


class InferenceSession:
    """One that computes on the stream of its provider's options."""

    def __init__(self, data: bytes, options: Any, providers: Any) -> None:
        (name, own), *_ = providers
        assert name == "CUDAExecutionProvider"
        if refuses_alone and _alone(options):
            raise RuntimeError("a node has no kernel but the CPU's")
        self._real, self._stream = session(data), int(own["user_compute_stream"])

    def get_inputs(self) -> Any:
        return self._real.get_inputs()

    def get_outputs(self) -> Any:
        return self._real.get_outputs()

    def io_binding(self) -> Binding:
        return Binding(self._real.io_binding())

    def run_with_iobinding(self, binding: Binding, options: RunOptions) -> None:
        assert options.entries == {"disable_synchronize_execution_providers": "1"}
        names = list(binding.writes)
        try:
            enqueue(
                self._stream,
                "run",
                lambda feeds: dict(zip(names, self._real.run(names, feeds), strict=True)),
                binding.reads,
                binding.writes,
            )
        except BackendError as error:
            raise RuntimeError(str(error)) from error


def _alone(options: Any) -> bool:
    try:
        return bool(options.get_session_config_entry("session.disable_cpu_ep_fallback") == "1")
    except RuntimeError:  # it was not set
        return False


refuses_alone = False


def install(providers: list[str] = PROVIDERS, *, cpu_nodes: bool = False) -> None:
    """Let this process find it; call once, after what uses the real one."""
    global refuses_alone
    refuses_alone = cpu_nodes
    module: Any = ModuleType("onnxruntime")
    module.__version__ = onnxruntime.__version__
    module.SessionOptions = onnxruntime.SessionOptions
    module.RunOptions, module.InferenceSession = RunOptions, InferenceSession
    module.get_available_providers = lambda: providers
    sys.modules["onnxruntime"] = module
