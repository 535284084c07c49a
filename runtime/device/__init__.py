"""A GPU's memory, streams, events, kernels and graphs, behind a protocol small enough for several providers.

with open_device() as device, device.current(), device.stream() as stream:
    with device.allocate(4096, stream, what="logits") as logits:
        stream.fill(logits, 0)
        stream.synchronize()
"""

from __future__ import annotations

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
    "open_device",
]


def open_device(ordinal: int = 0) -> Device:
    """The GPU of this number, through ``cuda.core``.

    Its primary context is used, which torch, CuPy and CUDA's runtime use too, and never reset; whatever
    context the caller has is current again when this returns.

    Raises:
        OptionsError: no number of a device.
        NoDeviceError: there is no driver, no GPU, or none of this number.
        MissingDependencyError: ``cuda.core`` is not installed.
    """
    from cnnrnn.runtime.device.cuda_core import CudaCoreDevice

    return CudaCoreDevice(ordinal)
