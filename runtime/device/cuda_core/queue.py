"""What a stream and a capture of ``cuda.core`` have in common."""

from __future__ import annotations

from typing import Any

from cnnrnn.runtime.device.compiled import CompiledKernel
from cnnrnn.runtime.device.cuda_core.kernel import CoreKernel
from cnnrnn.runtime.device.failures import Failures
from cnnrnn.runtime.device.memory import BaseMemory
from cnnrnn.runtime.device.queue import BaseQueue


class CoreMemory(BaseMemory):
    """A buffer of ``cuda.core``."""


class CoreQueue(BaseQueue):
    """See `cnnrnn.runtime.device.protocol.Queue`.

    Args:
        core: the package ``cuda.core``.
        raw: its stream or graph builder.
        handle: of the stream.
    """

    memory_type = CoreMemory
    kernel_type = CoreKernel

    def __init__(self, core: Any, failures: Failures, raw: Any, handle: int, what: str) -> None:
        super().__init__(failures, raw, handle, what)
        self._core = core

    def drain(self) -> None:
        if self._raw is not None:
            self._raw.sync()

    def _copy(self, raw: Any, target: Any, source: Any) -> None:
        source.raw.copy_to(target.raw, stream=raw)

    def _fill(self, raw: Any, target: Any, byte: int) -> None:
        target.raw.fill(byte, stream=raw)

    def _launch(self, raw: Any, kernel: CompiledKernel, arguments: list[Any], shape: tuple[int, int]) -> None:
        grid, block = shape
        self._core.launch(raw, self._core.LaunchConfig(grid=grid, block=block), kernel.raw, *arguments)

    def _note(self, memory: BaseMemory) -> None:
        if memory.pinned:  # the driver gives it back at once
            memory.users.add(self)
