"""From a bundle to a model: which backend runs its graphs, in which precision, and where."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from cnnrnn.core.bundle import Bundle
from cnnrnn.core.errors import OptionsError
from cnnrnn.runtime.backend import Backend
from cnnrnn.runtime.device.names import DEVICE_BACKENDS
from cnnrnn.runtime.device.opening import open_backend
from cnnrnn.runtime.device.options import DeviceOptions
from cnnrnn.runtime.graphs import Graphs
from cnnrnn.runtime.loop import Searches
from cnnrnn.runtime.model import Model
from cnnrnn.runtime.ort_cpu import NAME as ORT_CPU
from cnnrnn.runtime.ort_cpu import OrtCpuBackend
from cnnrnn.runtime.precision import precision_for
from cnnrnn.runtime.questions import QuestionReader

BACKENDS = (ORT_CPU, *DEVICE_BACKENDS)

_log = logging.getLogger(__name__)


def load(
    bundle: str | os.PathLike[str] | Bundle,
    *,
    backend: str = ORT_CPU,
    precision: str | None = None,
    threads: int | None = None,
    device: int | DeviceOptions | None = None,
) -> Model:
    """Load a bundle for use.

    Args:
        bundle: a folder, the name of a shipped bundle, or a `Bundle` that is open already.
        backend: one of `BACKENDS`: ``"ort-cpu"``, or on a GPU ``"tensorrt"``, ``"tensorrt-rtx"`` or
            ``"ort-cuda"``.
        precision: one that the bundle carries; by default ``"fp32"`` on a CPU and ``"fp16"`` on a GPU where
            it does, else its first.
        threads: of a CPU backend; by default one per physical core.
        device: of a GPU backend: the number of the GPU, 0 by default, or more about how it is used.

    Raises:
        UnknownBundleError: no such folder or name.
        BundleError: a part of the bundle is missing, altered or does not fit.
        OptionsError: an unknown backend, precision or number of threads.
        MissingDependencyError: what the backend needs is not installed.
        BackendError: the backend cannot load a graph.
        NoDeviceError: the backend needs a GPU, and there is none of this number.
    """
    if backend not in BACKENDS:
        raise OptionsError(f"backend={backend!r} is unknown; known are {', '.join(BACKENDS)}")
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(Path(bundle))
    graphs = Graphs.of(opened, precision_for(opened.manifest, backend, precision))
    runner: Backend | Searches
    if backend == ORT_CPU:
        if device is not None:
            raise OptionsError(
                f"device={device!r} is for a GPU, and the backend {ORT_CPU} has none; give "
                f"backend={' or '.join(map(repr, DEVICE_BACKENDS))}, or leave it out"
            )
        runner = OrtCpuBackend(graphs, threads)
    else:
        if threads is not None:
            raise OptionsError(f"threads={threads} is for the backend {ORT_CPU}; {backend} has none")
        runner = open_backend(backend, graphs, 0 if device is None else device)
    _log.info("loaded %s: %s %s", opened.folder, backend, graphs.precision)
    return Model(runner, opened.manifest, opened.tokenizer(), QuestionReader.of(opened))
