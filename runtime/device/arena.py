"""Tensors that lie in one buffer, each aligned as engines want it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What TensorRT asks of the address of a tensor.
ALIGNED_BYTES = 256


@dataclass(frozen=True)
class TensorPlace:
    """Where a tensor lies in its buffer.

    Attributes:
        dtype: NumPy's name.
        offset: in bytes.
        address: on the device; 0 until the buffer is there.
    """

    dtype: str
    shape: tuple[int, ...]
    offset: int
    address: int = 0

    @property
    def size_bytes(self) -> int:
        """Without what fills up to the next tensor."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def of(self, data: NDArray[np.uint8]) -> NDArray[Any]:
        """A copy of the tensor in its buffer, (size_bytes), or in several such buffers, (N, size_bytes)."""
        part = data[..., self.offset : self.offset + self.size_bytes]
        return np.array(part, order="C").view(self.dtype).reshape(*data.shape[:-1], *self.shape)


class Layout:
    """Tensors one after the other, each from a multiple of `ALIGNED_BYTES`.

    Args:
        tensors: by name, dtype and shape.

    Attributes:
        places: by name.
        size_bytes: of all.
    """

    def __init__(self, tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> None:
        self.places: dict[str, TensorPlace] = {}
        self.size_bytes = 0
        for name, (dtype, shape) in tensors.items():
            place = TensorPlace(dtype, shape, self.size_bytes)
            self.places[name] = place
            self.size_bytes += -(-place.size_bytes // ALIGNED_BYTES) * ALIGNED_BYTES

    def at(self, address: int) -> dict[str, TensorPlace]:
        """The places in a buffer of this address."""
        return {
            name: TensorPlace(place.dtype, place.shape, place.offset, address + place.offset)
            for name, place in self.places.items()
        }

    def write(self, data: NDArray[np.uint8], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Put arrays into a copy of the buffer (size_bytes); what is not given is left as it is."""
        for name, array in arrays.items():
            place = self.places[name]
            wanted = np.ascontiguousarray(array, place.dtype)
            assert wanted.shape == place.shape, f"{name}: {wanted.shape} for {place.shape}"
            data[place.offset : place.offset + place.size_bytes] = wanted.reshape(-1).view(np.uint8)
