"""What a stream and a capture of one have in common: copies, fills, kernels, and their counts."""

from __future__ import annotations

from typing import Any

from cnnrnn.core.errors import ClosedError, DeviceError
from cnnrnn.runtime.device.counters import Counters
from cnnrnn.runtime.device.cuda_core.failures import Failures
from cnnrnn.runtime.device.cuda_core.kernel import CoreKernel
from cnnrnn.runtime.device.cuda_core.memory import CoreMemory
from cnnrnn.runtime.device.protocol import Argument, Kernel, Memory


class CoreQueue:
    """See `cnnrnn.runtime.device.protocol.Queue`.

    Args:
        core: the package ``cuda.core``.
        raw: its stream or graph builder.
        handle: of the stream.
    """

    def __init__(self, core: Any, failures: Failures, raw: Any, handle: int, what: str) -> None:
        self._core, self._failures, self._raw, self._handle, self._what = core, failures, raw, handle, what
        self.counters = Counters()

    @property
    def handle(self) -> int:
        self.raw  # noqa: B018 - raises if closed
        return self._handle

    @property
    def raw(self) -> Any:
        """The stream or graph builder of ``cuda.core``.

        Raises:
            ClosedError: it was closed, or the capture has ended.
        """
        if self._raw is None:
            raise ClosedError(f"the {self._what} was closed")
        return self._raw

    def drain(self) -> None:
        """Wait for what is queued, uncounted, before something is given back; nothing if it was closed."""
        if self._raw is not None:
            self._raw.sync()

    def copy(self, target: Memory, source: Memory) -> None:
        to, origin, raw = self._taken(target), self._taken(source), self.raw
        if target.size_bytes != source.size_bytes:
            raise DeviceError(f"copying {origin} into {to}: the sizes differ")
        with self._failures.told(f"copying {origin} into {to}"):
            origin.raw.copy_to(to.raw, stream=raw)
        self._count(origin, to)

    def fill(self, target: Memory, byte: int) -> None:
        to, raw = self._taken(target), self.raw
        if to.pinned:
            raise DeviceError(f"{to}: a stream fills device memory; set the array of pinned memory instead")
        with self._failures.told(f"filling {to} with {byte}"):
            to.raw.fill(byte, stream=raw)

    def launch(self, kernel: Kernel, *arguments: Argument, grid: int = 1, block: int = 1) -> None:
        raw = self.raw
        if not isinstance(kernel, CoreKernel):
            raise DeviceError(f"{kernel!r} is no kernel of this provider's")
        made = kernel.arguments(arguments)
        for argument in arguments:
            if isinstance(argument, CoreMemory):
                self._taken(argument)
        with self._failures.told(f"launching kernel {kernel.name}"):
            self._core.launch(raw, self._core.LaunchConfig(grid=grid, block=block), kernel.raw, *made)
        self.counters.launches += 1

    def _taken(self, memory: Memory) -> CoreMemory:
        """The memory as this provider's, noted as used here."""
        if not isinstance(memory, CoreMemory):
            raise DeviceError(f"{memory!r} is no memory of this provider's")
        self._note(memory)
        return memory

    def _note(self, memory: CoreMemory) -> None:
        if memory.pinned:
            memory.users.add(self)

    def _count(self, source: CoreMemory, target: CoreMemory) -> None:
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
