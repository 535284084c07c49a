"""Device memory of a stream, and pinned memory of the host."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cnnrnn.core.errors import ClosedError, DeviceError
from cnnrnn.runtime.device.cuda_core.closing import Closing
from cnnrnn.runtime.device.cuda_core.failures import Failures


class Drains(Protocol):
    """A stream that can be waited for."""

    def drain(self) -> None:
        """Wait, uncounted."""
        ...


class CoreMemory(Closing):
    """A ``cuda.core`` buffer, see `cnnrnn.runtime.device.protocol.Memory`.

    Args:
        raw: the buffer.
        give_back: gives its memory back.
        pinned: whether it is the host's.
    """

    def __init__(
        self, failures: Failures, raw: Any, give_back: Callable[[], None], what: str, *, pinned: bool
    ) -> None:
        self._failures, self._raw, self._give_back = failures, raw, give_back
        self._address, self._size_bytes, self._what = int(raw.handle), int(raw.size), what
        self.pinned = pinned
        self.graphs = 0  # those that are open and use it
        self.users: set[Drains] = set()  # of pinned memory, which the driver gives back at once

    @property
    def address(self) -> int:
        self.raw  # noqa: B018 - raises if closed
        return self._address

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    @property
    def what(self) -> str:
        return self._what

    @property
    def raw(self) -> Any:
        """The buffer of ``cuda.core``.

        Raises:
            ClosedError: it was closed.
        """
        if self._raw is None:
            raise ClosedError(f"{self}: it was closed")
        return self._raw

    def close(self) -> None:
        """Give the memory back, after all that its stream was given so far; pinned memory after waiting for
        the streams that used it.

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
        if not self.pinned or wanted > self._size_bytes:
            kept = f"{self._size_bytes} bytes of " + ("pinned" if self.pinned else "device")
            raise DeviceError(f"{self}: {wanted} bytes on the host were asked for, and it is {kept} memory")
        flat = (ctypes.c_char * wanted).from_address(self.address)
        return np.frombuffer(memoryview(flat), kind).reshape(shape)

    def __str__(self) -> str:
        place = "pinned" if self.pinned else "device"
        return f"{self._size_bytes} bytes of {place} memory" + (f" ({self._what})" if self._what else "")
