"""A GPU's memory, streams, events, kernels and graphs, behind a protocol small enough for several providers.

with open_device() as device, device.current(), device.stream() as stream:
    with device.allocate(4096, stream, what="logits") as logits:
        stream.fill(logits, 0)
        stream.synchronize()
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from importlib.util import find_spec

from cnnrnn.core.errors import MissingDependencyError, OptionsError
from cnnrnn.runtime.device.base import checked_ordinal, no_device
from cnnrnn.runtime.device.counters import Counters
from cnnrnn.runtime.device.protocol import (
    Argument,
    Buffer,
    Capture,
    Condition,
    Device,
    DeviceInfo,
    Event,
    Graph,
    Kernel,
    Memory,
    PinnedBuffer,
    Queue,
    Stream,
)
from cnnrnn.runtime.engine.device import LIBRARY

__all__ = [
    "Argument",
    "Buffer",
    "Capture",
    "Condition",
    "Counters",
    "Device",
    "DeviceInfo",
    "Event",
    "Graph",
    "Kernel",
    "Memory",
    "PinnedBuffer",
    "Queue",
    "Stream",
    "check_provider",
    "open_device",
]


# The modules of the providers, in the order of preference.
_PROVIDERS = {"cuda-core": "cuda.core", "pycuda": "pycuda"}


def open_device(ordinal: int = 0, provider: str = "auto") -> Device:
    """The GPU of this number.

    Its primary context is used, which torch, CuPy and CUDA's runtime use too, and never reset; whatever
    context the caller has is current again when this returns.

    Args:
        provider: ``"cuda-core"``; ``"pycuda"``, which has no graphs; or ``"auto"``, the first of the two that
            is installed.

    Raises:
        OptionsError: no number of a device, or no provider.
        NoDeviceError: there is no driver, no GPU, or none of this number.
        MissingDependencyError: the provider, or either of them, is not installed.
    """
    check_provider(provider)
    _check_driver(ordinal)
    if provider == "pycuda" or (provider == "auto" and _installed() == "pycuda"):
        from cnnrnn.runtime.device.pycuda import PycudaDevice

        return PycudaDevice(ordinal)
    from cnnrnn.runtime.device.cuda_core import CudaCoreDevice

    return CudaCoreDevice(ordinal)


def _check_driver(ordinal: int) -> None:
    """Say first that there is no GPU: no package would bring one."""
    checked_ordinal(ordinal)
    try:
        ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise no_device(ordinal, f"there is no driver ({LIBRARY} is not found)") from error


def check_provider(provider: str) -> None:
    """Refuse an unknown provider.

    Raises:
        OptionsError: naming those there are.
    """
    if provider not in ("auto", *_PROVIDERS):
        raise OptionsError(f"provider={provider!r}; it is one of auto, {', '.join(_PROVIDERS)}")


def _installed() -> str:
    """The first provider that is installed, whether it can be used or not.

    Raises:
        MissingDependencyError: none is.
    """
    for name, module in _PROVIDERS.items():
        with suppress(ModuleNotFoundError):  # of a parent
            if find_spec(module) is not None:
                return name
    raise MissingDependencyError(
        "Neither cuda.core nor pycuda is installed, which reach a GPU. Install one of them: "
        "pip install 'cnnrnn[cuda13]' (or cuda12: the driver's CUDA), or 'cnnrnn[pycuda]', which is built "
        "from source",
        name="cuda.core",
    )
