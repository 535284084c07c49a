"""Memory of the device and pinned memory of the host, whoever it was taken from."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cnnrnn.core.errors import ClosedError, DeviceError
from cnnrnn.runtime.device.closing import Closing
from cnnrnn.runtime.device.failures import Failures


class Drains(Protocol):
    """A stream that can be waited for."""

    def drain(self) -> None:
        """Wait, uncounted."""
        ...


@dataclass(frozen=True)
class MemoryPlace:
    """Where memory is, and what for.

    Attributes:
        pinned: whether it is the host's.
        address: 0 until it is taken.
    """

    size_bytes: int
    what: str
    pinned: bool
    address: int = 0

    def at(self, address: int) -> MemoryPlace:
        """The same, taken."""
        return MemoryPlace(self.size_bytes, self.what, self.pinned, address)

    def __str__(self) -> str:
        place = "pinned" if self.pinned else "device"
        return f"{self.size_bytes} bytes of {place} memory" + (f" ({self.what})" if self.what else "")


class BaseMemory(Closing):
    """See `cnnrnn.runtime.device.protocol.Memory`.

    Args:
        raw: the provider's own.
        give_back: gives the memory back.

    Attributes:
        pinned: whether it is the host's.
        graphs: how many that use it are open.
        users: the streams that have to be through with it before it is given back, where the driver does not
            see to that.
    """

    def __init__(
        self, failures: Failures, place: MemoryPlace, raw: Any, give_back: Callable[[], object]
    ) -> None:
        self._failures, self._place, self._raw, self._give_back = failures, place, raw, give_back
        self.pinned = place.pinned
        self.graphs = 0
        self.users: set[Drains] = set()

    @property
    def address(self) -> int:
        self.raw  # noqa: B018 - raises if closed
        return self._place.address

    @property
    def size_bytes(self) -> int:
        return self._place.size_bytes

    @property
    def what(self) -> str:
        return self._place.what

    @property
    def raw(self) -> Any:
        """The provider's own.

        Raises:
            ClosedError: it was closed.
        """
        if self._raw is None:
            raise ClosedError(f"{self}: it was closed")
        return self._raw

    def close(self) -> None:
        """Give the memory back, after all that its stream was given so far, or after waiting for its users.

        Raises:
            DeviceError: a graph that uses it is open.
        """
        if self._raw is None:
            return
        if self.graphs:
            raise DeviceError(f"{self}: a graph uses it; close the graph first")
        self._raw = None
        with self._failures.releasing(f"giving back {self}"):
            try:
                for user in self.users:
                    user.drain()
            finally:
                self.users.clear()
                self._give_back()

    def array(self, dtype: Any, shape: tuple[int, ...]) -> NDArray[Any]:
        """See `cnnrnn.runtime.device.protocol.PinnedBuffer.array`; of pinned memory alone."""
        kind = np.dtype(dtype)
        wanted = kind.itemsize * int(np.prod(shape))
        if not self.pinned or wanted > self.size_bytes:
            kept = f"{self.size_bytes} bytes of " + ("pinned" if self.pinned else "device")
            raise DeviceError(f"{self}: {wanted} bytes on the host were asked for, and it is {kept} memory")
        flat = (ctypes.c_char * wanted).from_address(self.address)
        return np.frombuffer(memoryview(flat), kind).reshape(shape)

    def __str__(self) -> str:
        return str(self._place)
