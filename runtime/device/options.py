"""How a search is run on a device."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cnnrnn.core.errors import OptionsError
from cnnrnn.runtime.device import check_provider
from cnnrnn.runtime.device.loop import check_way
from cnnrnn.runtime.engine.options import BuildOptions

OrtProvider = Literal["cuda", "tensorrt"]
ORT_PROVIDERS: tuple[OrtProvider, ...] = ("cuda", "tensorrt")


@dataclass(frozen=True)
class DeviceOptions:
    """Which GPU, and how.

    Attributes:
        ordinal: the GPU's number.
        provider: of the device layer: ``"cuda-core"``, ``"pycuda"``, or ``"auto"``: the first that is
            installed.
        loop: the way to loop, see `cnnrnn.runtime.device.loop`: ``"auto"`` is the best that the driver, the
            provider and the engines have.
        build: how engines are built, as they were by ``cnnrnn build``; another choice is another engine.
        ort_provider: of the backend ``ort-cuda``: ONNX Runtime's CUDA provider, or its TensorRT provider.
    """

    ordinal: int = 0
    provider: str = "auto"
    loop: str = "auto"
    build: BuildOptions = field(default_factory=BuildOptions)
    ort_provider: OrtProvider = "cuda"

    def __post_init__(self) -> None:
        if isinstance(self.ordinal, bool) or not isinstance(self.ordinal, int) or self.ordinal < 0:
            raise OptionsError(f"device={self.ordinal!r}; give the number of a GPU, from 0")
        check_way(self.loop)
        check_provider(self.provider)
        if self.ort_provider not in ORT_PROVIDERS:
            raise OptionsError(
                f"ort_provider={self.ort_provider!r} is unknown; give {' or '.join(map(repr, ORT_PROVIDERS))}"
            )
