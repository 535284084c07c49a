"""CNN-RNN captioners without torch: load a bundle, give it pictures, get text.

    >>> import cnnrnn
    >>> with cnnrnn.load("emoji") as model:          # doctest: +SKIP
    ...     print(model("cat.png").text)

Importing this package imports none of its heavy dependencies: OpenCV, ONNX Runtime, ``tokenizers`` and
torch are imported by the call that first needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnrnn.core.errors import (
    BackendError,
    BundleError,
    CacheError,
    CheckpointError,
    ClosedError,
    CnnrnnError,
    ConfigError,
    DataError,
    DeviceError,
    DeviceMemoryError,
    EngineError,
    ImageError,
    MissingDependencyError,
    ModelError,
    NoDeviceError,
    NotFiniteError,
    OptionsError,
    ParityError,
    PrecisionError,
    RequestError,
    StorageError,
    TrainingError,
    TrainingStopped,
    UnknownBundleError,
)

if TYPE_CHECKING:
    from cnnrnn.core.bundle import shipped_bundles
    from cnnrnn.runtime.loading import load
    from cnnrnn.runtime.model import Model
    from cnnrnn.runtime.result import Hypothesis, Result

__version__ = "0.1.0"

__all__ = [
    "BackendError",
    "BundleError",
    "CacheError",
    "CheckpointError",
    "ClosedError",
    "CnnrnnError",
    "ConfigError",
    "DataError",
    "DeviceError",
    "DeviceMemoryError",
    "EngineError",
    "Hypothesis",
    "ImageError",
    "MissingDependencyError",
    "Model",
    "ModelError",
    "NoDeviceError",
    "NotFiniteError",
    "OptionsError",
    "ParityError",
    "PrecisionError",
    "RequestError",
    "Result",
    "StorageError",
    "TrainingError",
    "TrainingStopped",
    "UnknownBundleError",
    "__version__",
    "load",
    "shipped_bundles",
]

_LAZY = {
    "Hypothesis": "cnnrnn.runtime.result",
    "Model": "cnnrnn.runtime.model",
    "Result": "cnnrnn.runtime.result",
    "load": "cnnrnn.runtime.loading",
    "shipped_bundles": "cnnrnn.core.bundle",
}


def __getattr__(name: str) -> object:
    """Import what ``_LAZY`` lists when it is first asked for (PEP 562)."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
