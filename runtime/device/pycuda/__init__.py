"""The device protocol over ``pycuda``, which has no capture: the loop launches each step."""

from __future__ import annotations

from cnnrnn.runtime.device.pycuda.device import PycudaDevice

__all__ = ["PycudaDevice"]
