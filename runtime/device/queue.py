"""What streams, and captures of them, have in common: copies, fills, kernels, and their counts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from cnnrnn.core.errors import ClosedError, DeviceError
from cnnrnn.runtime.device.compiled import CompiledKernel
from cnnrnn.runtime.device.counters import Counters
from cnnrnn.runtime.device.failures import Failures
from cnnrnn.runtime.device.memory import BaseMemory
from cnnrnn.runtime.device.protocol import Argument, Kernel, Memory


class BaseQueue(ABC):
    """See `cnnrnn.runtime.device.protocol.Queue`.

    Args:
        raw: the provider's own.
        handle: of the stream.
        what: it is, in messages.

    Attributes:
        memory_type, kernel_type: the provider's, of which alone it takes any.
    """

    memory_type: ClassVar[type[BaseMemory]]
    kernel_type: ClassVar[type[CompiledKernel]]

    def __init__(self, failures: Failures, raw: Any, handle: int, what: str) -> None:
        self._failures, self._raw, self._handle, self._what = failures, raw, handle, what
        self.counters = Counters()

    @property
    def handle(self) -> int:
        self.raw  # noqa: B018 - raises if closed
        return self._handle

    @property
    def raw(self) -> Any:
        """The provider's own.

        Raises:
            ClosedError: it was closed, or the capture has ended.
        """
        if self._raw is None:
            raise ClosedError(f"the {self._what} was closed")
        return self._raw

    @abstractmethod
    def drain(self) -> None:
        """Wait for what is queued, uncounted, before something is given back; nothing if it was closed."""

    def copy(self, target: Memory, source: Memory) -> None:
        to, origin, raw = self._taken(target), self._taken(source), self.raw
        if target.size_bytes != source.size_bytes:
            raise DeviceError(f"copying {origin} into {to}: the sizes differ")
        with self._failures.told(f"copying {origin} into {to}"):
            self._copy(raw, to, origin)
        self._count(origin, to)

    def fill(self, target: Memory, byte: int) -> None:
        to, raw = self._taken(target), self.raw
        if to.pinned:
            raise DeviceError(f"{to}: a stream fills device memory; set the array of pinned memory instead")
        with self._failures.told(f"filling {to} with {byte}"):
            self._fill(raw, to, byte)

    def launch(self, kernel: Kernel, *arguments: Argument, grid: int = 1, block: int = 1) -> None:
        raw = self.raw
        if not isinstance(kernel, self.kernel_type):
            raise DeviceError(f"{kernel!r} is no kernel of this provider's")
        made = kernel.arguments(arguments)
        for argument in arguments:
            if isinstance(argument, BaseMemory):
                self._taken(argument)
        with self._failures.told(f"launching kernel {kernel.name}"):
            self._launch(raw, kernel, made, (grid, block))
        self.counters.launches += 1

    @abstractmethod
    def _copy(self, raw: Any, target: Any, source: Any) -> None:
        """Queue a copy of all of the source into the target; whatever the provider raises comes out."""

    @abstractmethod
    def _fill(self, raw: Any, target: Any, byte: int) -> None:
        """Queue setting each byte of the target."""

    @abstractmethod
    def _launch(self, raw: Any, kernel: CompiledKernel, arguments: list[Any], shape: tuple[int, int]) -> None:
        """Queue a kernel.

        Args:
            arguments: NumPy scalars of the right sizes, and conditions.
            shape: how many blocks, of how many threads.
        """

    def _taken(self, memory: Memory) -> BaseMemory:
        """The memory as this provider's, noted as used here."""
        if not isinstance(memory, self.memory_type):
            raise DeviceError(f"{memory!r} is no memory of this provider's")
        self._note(memory)
        return memory

    @abstractmethod
    def _note(self, memory: BaseMemory) -> None:
        """Note that memory is used here."""

    def _count(self, source: BaseMemory, target: BaseMemory) -> None:
        counters, size = self.counters, source.size_bytes
        if source.pinned and not target.pinned:
            counters.host_to_device += 1
            counters.host_to_device_bytes += size
        elif target.pinned and not source.pinned:
            counters.device_to_host += 1
            counters.device_to_host_bytes += size
        elif not source.pinned:
            counters.device_to_device += 1
            counters.device_to_device_bytes += size
