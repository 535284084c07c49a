"""Open a backend on a GPU: the device, what makes engines, and the loop over them."""

from __future__ import annotations

from contextlib import ExitStack

from cnnrnn.runtime.device import open_device
from cnnrnn.runtime.device.backend import DeviceBackend
from cnnrnn.runtime.device.engines import Source
from cnnrnn.runtime.device.names import ORT_CUDA
from cnnrnn.runtime.device.options import DeviceOptions
from cnnrnn.runtime.device.ort_cuda import OrtCudaSource
from cnnrnn.runtime.device.protocol import Device
from cnnrnn.runtime.device.tensorrt import TensorRtSource
from cnnrnn.runtime.graphs import Graphs


def open_backend(name: str, graphs: Graphs, device: int | DeviceOptions = 0) -> DeviceBackend:
    """One of `cnnrnn.runtime.device.names.DEVICE_BACKENDS`, ready to search.

    Args:
        device: the GPU's number, or more about how it is used.

    Raises:
        OptionsError: an option that this backend or this GPU does not have.
        NoDeviceError: there is no such GPU.
        MissingDependencyError: a package that it needs is not installed.
        BundleError: the graphs do not fit together.
    """
    options = device if isinstance(device, DeviceOptions) else DeviceOptions(device)
    with ExitStack() as opened:
        gpu = opened.enter_context(open_device(options.ordinal, options.provider))
        with gpu.current():
            source = _source(name, graphs.precision, gpu, options)
            opened.callback(source.close)
            backend = DeviceBackend(name, graphs, gpu, source, options.loop)
        opened.pop_all()
    return backend


def _source(name: str, precision: str, device: Device, options: DeviceOptions) -> Source:
    if name == ORT_CUDA:
        return OrtCudaSource(device, precision, options.ordinal, options.ort_provider)
    return TensorRtSource(name, precision, options.ordinal, options.build)
