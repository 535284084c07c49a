"""What the providers' devices have in common: numbers that are none, memory that runs out, kernels kept."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cnnrnn.core.errors import ClosedError, DeviceError, DeviceMemoryError, NoDeviceError, OptionsError
from cnnrnn.runtime.device.closing import Closing
from cnnrnn.runtime.device.compiled import CompiledKernel
from cnnrnn.runtime.device.failures import Failures, code_of
from cnnrnn.runtime.device.memory import MemoryPlace
from cnnrnn.runtime.device.protocol import DeviceInfo

# What is tried, in errors.
ASKING_OWNER, ORDERING = "asking whose memory an address is", "ordering two streams"


def checked_ordinal(ordinal: int) -> int:
    """The number of a device.

    Raises:
        OptionsError: it is none.
    """
    if isinstance(ordinal, bool) or not isinstance(ordinal, int) or ordinal < 0:
        raise OptionsError(f"device={ordinal!r}; give the number of a GPU, from 0")
    return ordinal


def no_device(ordinal: int, said: str) -> NoDeviceError:
    """The error for a GPU that is not there, or a driver that does not start."""
    return NoDeviceError(
        f"GPU {ordinal} cannot be used: {said.rstrip('.')}. nvidia-smi lists the GPUs of this machine; "
        "without one, use the backend ort-cpu"
    )


class BaseDevice(Closing):
    """See `cnnrnn.runtime.device.protocol.Device`, some of whose methods these are.

    Args:
        raw: the provider's own.
    """

    def __init__(self, failures: Failures, raw: Any) -> None:
        self._failures = failures
        self._raw: Any = raw
        self._compiled: dict[str, Any] = {}
        self._kernels: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    @property
    @abstractmethod
    def info(self) -> DeviceInfo: ...

    @abstractmethod
    def free_bytes(self) -> int:
        """See `cnnrnn.runtime.device.protocol.Device`."""

    @abstractmethod
    def _compile(self, source: str, arch: str) -> Any:
        """The object code for ``"sm_86"``, say; whatever the compiler raises comes out."""

    @abstractmethod
    def _load(self, code: Any, name: str) -> CompiledKernel:
        """A kernel of object code."""

    def kernel(self, source: str, name: str) -> Any:
        major, minor = self.info.compute_capability
        arch = f"sm_{major}{minor}"
        with self._lock, self._failures.told(f"compiling kernel {name} for {arch}"):
            if source not in self._compiled:
                self._compiled[source] = self._compile(source, arch)
            if (source, name) not in self._kernels:
                self._kernels[source, name] = self._load(self._compiled[source], name)
            return self._kernels[source, name]

    def close(self) -> None:
        """Let go of the device; what was made of it has to be closed before."""
        self._raw = None
        self._kernels.clear()
        self._compiled.clear()

    @property
    def _open(self) -> Any:
        """The provider's own.

        Raises:
            ClosedError: it was closed.
        """
        if self._raw is None:
            raise ClosedError("the device was closed")
        return self._raw

    @contextmanager
    def _taking(self, place: MemoryPlace) -> Iterator[None]:
        """Turn the driver's "out of memory" into an error that has the numbers."""
        if place.size_bytes < 1:
            raise DeviceError(f"{place}: at least 1 has to be asked for")
        try:
            with self._failures.told(f"taking {place}"):
                yield
        except DeviceError as error:
            if code_of(error) != "CUDA_ERROR_OUT_OF_MEMORY":
                raise
            free = self.free_bytes()
            raise DeviceMemoryError(
                f"out of memory: {place} are wanted, {free} of {self.info.memory_bytes} are free on "
                f"{self.info.name}. Take a smaller batch or beam, or close what else uses the GPU",
                wanted_bytes=place.size_bytes,
                free_bytes=free,
                what=place.what,
            ) from error
