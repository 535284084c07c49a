"""Every exception this package raises on purpose.

    CnnrnnError                       exit code 1: the work failed
    ├── RequestError (ValueError)     exit code 2: the request was wrong
    │   ├── OptionsError              an option's value, or two options that contradict
    │   ├── ConfigError               a training or export configuration
    │   ├── ModelError                a model that does not follow the protocol of encode, initial_state, step
    │   └── UnknownBundleError        a bundle name that is not shipped and a folder that does not exist
    ├── ImageError                    a picture that cannot be read or used
    ├── BundleError                   a bundle with a missing, altered, escaping or mismatched part
    ├── ParityError                   two backends disagree; carries the report
    │   └── PrecisionError            a graph of another precision says something else than the fp32 graph
    ├── CheckpointError               a training checkpoint that cannot be read
    ├── DataError                     a data set that cannot be read
    ├── TrainingError                 a training run that cannot go on
    │   └── TrainingStopped           a signal asked a run to stop; what it did is saved, and it can go on
    ├── StorageError                  a file or folder that cannot be written; the old one is whole
    │   └── CacheError                the folder of built engines
    ├── BackendError                  an inference engine that refused to load or to run
    │   ├── EngineError               a graph that TensorRT refused to build; names the node and the fix
    │   ├── DeviceError               a GPU's driver that refused, or a wrong use of device memory or streams
    │   │   ├── DeviceMemoryError     not enough memory; has the bytes wanted and free
    │   │   └── NoDeviceError         exit code 3: no driver, no GPU, or none of this number
    │   └── NotFiniteError            a picture whose logits were NaN or infinite; names the step
    ├── ClosedError                   a model used after ``close()``
    └── MissingDependencyError (ImportError)    exit code 3: nothing to do it with; names what to install

A message names the offending value, the limit it broke and what to do about it.
"""

from __future__ import annotations

from typing import ClassVar


class CnnrnnError(Exception):
    """Root of the tree: ``except CnnrnnError`` catches all that this package raises on purpose."""

    exit_code: ClassVar[int] = 1


class RequestError(CnnrnnError, ValueError):
    """The caller asked for something impossible; nothing has been done."""

    exit_code: ClassVar[int] = 2


class OptionsError(RequestError):
    """An option's value is out of its limits, or two options contradict each other."""


class ConfigError(RequestError):
    """A configuration file has an unknown key, a wrong type or an impossible combination."""


class ModelError(RequestError):
    """A model does not follow the protocol of ``encode``, ``initial_state`` and ``step``."""


class UnknownBundleError(RequestError):
    """Neither a folder nor the name of a shipped bundle; the message lists those shipped."""


class ImageError(CnnrnnError):
    """A picture cannot be read, or is outside the limits stated in ``cnnrnn.runtime.image``."""


class BundleError(CnnrnnError):
    """A bundle's file is missing, altered, oversized or escapes its folder, or its manifest is not valid."""


class ParityError(CnnrnnError):
    """Two backends disagree beyond the stated tolerance. ``report`` says where they left the same path."""

    def __init__(self, message: str, report: object = None) -> None:
        super().__init__(message)
        self.report = report


class PrecisionError(ParityError):
    """A graph in another precision captions otherwise than fp32's, or gives NaN or infinity."""


class CheckpointError(CnnrnnError):
    """A training checkpoint is missing, altered or of another schema."""


class DataError(CnnrnnError):
    """A data set cannot be read, or holds too little to do what was asked."""


class TrainingError(CnnrnnError):
    """A training run cannot go on (a loss that is not finite, say)."""


class TrainingStopped(TrainingError):
    """SIGTERM or Ctrl-C asked a run to stop. All that it did is saved, and it goes on with --resume."""


class StorageError(CnnrnnError):
    """A file or folder could not be written. What stood at its place before stands there still, whole."""


class CacheError(StorageError):
    """The folder of built engines cannot be used: it cannot be written, belongs to somebody else, or has not
    the engine that is asked for."""


class BackendError(CnnrnnError):
    """An inference engine refused to load a graph or failed while running one."""


class EngineError(BackendError):
    """TensorRT refused to build a graph; the message names the node, its types and module, and what to do."""


class DeviceError(BackendError):
    """A GPU's driver refused a call, or memory, a stream or a graph was used wrongly; says what was tried."""


class DeviceMemoryError(DeviceError):
    """There is not enough device or pinned memory.

    Attributes:
        wanted_bytes: what was asked for.
        free_bytes: of the device, when it was refused.
        what: it was for: the bucket and the tensor.
    """

    def __init__(self, message: str, *, wanted_bytes: int = 0, free_bytes: int = 0, what: str = "") -> None:
        super().__init__(message)
        self.wanted_bytes, self.free_bytes, self.what = wanted_bytes, free_bytes, what


class NoDeviceError(DeviceError):
    """No GPU can be used: no driver, no device, or none of this number."""

    exit_code: ClassVar[int] = 3


class NotFiniteError(BackendError):
    """The decoder's logits for a picture were NaN or infinite; the message names the step."""


class ClosedError(CnnrnnError):
    """A model was used after ``close()``."""


class MissingDependencyError(CnnrnnError, ImportError):
    """An optional dependency is not installed; the message holds the command that installs it."""

    exit_code: ClassVar[int] = 3
