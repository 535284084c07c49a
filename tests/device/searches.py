"""Whole searches of a bundle by the loop on a device, beside the backend ``ort-cpu``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from cnnrnn.core.bundle import Bundle
from cnnrnn.core.samples import package_data, pictures_in
from cnnrnn.core.search import SearchOptions
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.device import open_device
from cnnrnn.runtime.device.backend import DeviceBackend
from cnnrnn.runtime.graphs import Graphs
from cnnrnn.runtime.image import fit, read_image
from cnnrnn.runtime.loop import History, decode, prepare
from cnnrnn.runtime.ort_cpu import OrtCpuBackend
from cnnrnn.runtime.search_inputs import SpecialTokens
from tests.device.host_engines import HostSource
from tests.device.loop_kernels import emulate_all


@dataclass(frozen=True)
class Question:
    """What is searched for: the first pictures of the shipped samples, and the options."""

    pictures: int
    options: SearchOptions

    @property
    def images(self) -> NDArray[np.uint8]:
        """(B, H, W, 3)."""
        bundle = Bundle.open("emoji")
        paths = pictures_in(package_data("samples") / "demo")[: self.pictures]
        return np.stack([fit(read_image(path), bundle.manifest.image) for path in paths])


class Searched:
    """A question to the shipped bundle, put to the CPU and to a device."""

    def __init__(self, question: Question) -> None:
        self.options, self.images = question.options, question.images
        bundle = Bundle.open("emoji")
        words = bundle.manifest.vocabulary
        self.graphs = Graphs.of(bundle, "fp32")
        self.special = SpecialTokens(words.start, tuple(words.end))

    def on_the_cpu(self) -> History:
        """As the backend ``ort-cpu`` searches."""
        backend = OrtCpuBackend(self.graphs, threads=1)
        return decode(backend, self.images, self.options, self.special, Clock())

    def on(self, backend: DeviceBackend, deadline_ms: float | None = None) -> History:
        """As this backend does."""
        options = self.options
        if deadline_ms is not None:
            options = SearchOptions(**{**_shallow(options), "deadline_ms": deadline_ms})
        kind = prepare(backend, options, self.special)
        return backend.search(list(self.images), options, self.special, Clock(), kind).history()


@contextmanager
def looping(
    graphs: Graphs, way: str, source: HostSource | None = None, provider: str = "auto"
) -> Iterator[DeviceBackend]:
    """A backend over the stand-in driver."""
    emulate_all()
    device = open_device(provider=provider)
    backend = DeviceBackend("on a device", graphs, device, source or HostSource(), way)
    try:
        yield backend
    finally:
        backend.close()


# Sums of float32 whose order is the CPU's to choose, with how many pictures there are and where they lie.
ROUNDING = 1e-6


def differences(found: History, wanted: History, rounding: float = 0.0) -> list[str]:
    """The fields that are not the same, to the last bit, or where floats may differ by so much of them."""
    compared = [field.name for field in fields(History) if field.name not in ("options", "device")]
    pairs = {name: (getattr(found, name), getattr(wanted, name)) for name in compared}
    return [name for name, (one, other) in pairs.items() if not _same(one, other, rounding)]


def _same(one: object, other: object, rounding: float) -> bool:
    if one is None or other is None:
        return one is other
    left, right = np.asarray(one), np.asarray(other)
    if rounding and left.dtype == np.float32 and left.shape == right.shape:
        return bool(np.allclose(left, right, rtol=rounding, atol=rounding))
    return bool(np.array_equal(left, right))


def _shallow(options: SearchOptions) -> dict[str, object]:
    return {field.name: getattr(options, field.name) for field in fields(options)}
