"""Compiled kernels, and the arguments that they take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnrnn.core.errors import DeviceError
from cnnrnn.runtime.device.memory import BaseMemory
from cnnrnn.runtime.device.protocol import Argument

_POINTER_BYTES = 8


@dataclass(frozen=True)
class LoopCondition:
    """See `cnnrnn.runtime.device.protocol.Condition`."""

    raw: Any


@dataclass(frozen=True)
class CompiledKernel:
    """See `cnnrnn.runtime.device.protocol.Kernel`.

    Attributes:
        sizes: bytes of each argument, or None where the driver is too old to say (before CUDA 12.4).
    """

    raw: Any
    name: str
    sizes: tuple[int, ...] | None

    def arguments(self, given: Sequence[Argument]) -> list[Any]:
        """The arguments as NumPy scalars, an address among them, and conditions as the provider has them.

        A driver copies as many bytes as the kernel takes from wherever an argument is, so that a scalar of
        another size would be read wrongly and without a word.

        Raises:
            DeviceError: too many or too few, or one of another size or kind than the kernel's.
        """
        if self.sizes is not None and len(given) != len(self.sizes):
            raise DeviceError(
                f"kernel {self.name}: {len(given)} arguments were given, it takes {len(self.sizes)}"
            )
        return [self._argument(number, argument) for number, argument in enumerate(given)]

    def _argument(self, number: int, argument: Argument) -> Any:
        made: Any
        if isinstance(argument, BaseMemory):
            made, size = np.uint64(argument.address), _POINTER_BYTES
        elif isinstance(argument, LoopCondition):
            made, size = argument.raw, _POINTER_BYTES
        elif isinstance(argument, np.generic):
            made, size = argument, argument.itemsize
        else:
            raise DeviceError(
                f"kernel {self.name}, argument {number}: a {type(argument).__name__} has no size of its own; "
                "give a NumPy scalar (np.int32(5)), a buffer or the condition of a loop"
            )
        if self.sizes is not None and size != self.sizes[number]:
            raise DeviceError(
                f"kernel {self.name}, argument {number}: {size} bytes were given, and it takes "
                f"{self.sizes[number]}"
            )
        return made
