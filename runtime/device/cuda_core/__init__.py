"""The device protocol over NVIDIA's ``cuda.core``."""

from __future__ import annotations

from cnnrnn.runtime.device.cuda_core.device import CudaCoreDevice

__all__ = ["CudaCoreDevice"]
