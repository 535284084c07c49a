"""Frames that lie in a GPU's memory, taken as they are: `__cuda_array_interface__` and DLPack.

Of the first, versions 2 and 3 (Numba's documentation, "CUDA Array Interface"): CuPy, pycuda's GPUArray, Numba
and torch have it. DLPack is https://dmlc.github.io/dlpack; what has both is asked by it, unless its interface
names a stream: of torch's no version does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from cnnrnn.core.errors import ImageError
from cnnrnn.core.manifest import ImageSpec
from cnnrnn.runtime.dlpack import ON_GPU, DlpackArray, Strided, is_on, read_capsule
from cnnrnn.runtime.image import check_shape, check_size

_INTERFACE = "__cuda_array_interface__"
_UINT8 = ("|u1", "<u1", ">u1", "u1")
# CUDA's own number of the legacy default stream, for which others wait and which waits for them.
LEGACY_STREAM = 1
_NO_ORDER = -1


@runtime_checkable
class CudaArray(Protocol):
    """A frame on a GPU: CuPy's, pycuda's, Numba's or torch's array."""

    @property
    def __cuda_array_interface__(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class DeviceFrame:
    """A picture in device memory, uint8, its pixels side by side, its rows at any distance.

    Attributes:
        address: of its first byte.
        height, width: in pixels.
        channels: 1 grey, 3 colour, 4 colour and alpha.
        row_bytes: from a row's first byte to the next one's.
        color: the order of its channels, ``"bgr"`` or ``"rgb"``.
        image: what the encoder takes of it.
        device: the GPU's number, where the frame says so.
        stream: on which it was written, and may be written again; None if there is none to wait for.
        offer: makes what was written so far come before what the stream of this handle gets from then on.
        owner: keeps the memory.
    """

    address: int
    height: int
    width: int
    channels: int
    row_bytes: int
    color: str
    image: ImageSpec
    device: int | None = None
    stream: int | None = None
    offer: Callable[[int], object] | None = None
    owner: Any = field(default=None, repr=False)

    @property
    def what(self) -> str:
        """For messages: ``"the frame (1080 x 1920 x 3)"``."""
        return f"the frame ({self.height} x {self.width} x {self.channels})"


def read_frame(source: object, color: str, image: ImageSpec) -> DeviceFrame | None:
    """A frame as it lies on a GPU; None for what is no frame of a GPU.

    Args:
        source: uint8, (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).
        color: of its channels.
        image: what the encoder takes.

    Raises:
        ImageError: it is no picture, or lies in a way that cannot be read.
    """
    try:
        interface = getattr(source, _INTERFACE, None)
    except (RuntimeError, TypeError) as error:  # torch, of a tensor that needs a gradient, say
        raise ImageError(f"the frame cannot be read: {error}") from error
    if interface is not None and ("stream" in interface or not isinstance(source, DlpackArray)):
        return _of_interface(source, interface, color, image)
    if isinstance(source, DlpackArray) and is_on(source, ON_GPU):
        return _of_dlpack(source, color, image)
    return None


def _of_interface(source: object, interface: Mapping[str, Any], color: str, image: ImageSpec) -> DeviceFrame:
    try:
        address, shape = int(interface["data"][0] or 0), tuple(map(int, interface["shape"]))
        strides, type_name = interface.get("strides"), str(interface["typestr"])
        # Without a word about it (version 2), it may have been written on the default stream.
        stream = interface.get("stream") if "stream" in interface else LEGACY_STREAM
        array = Strided(address, shape, None if strides is None else tuple(map(int, strides)))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ImageError(f"the frame's {_INTERFACE} cannot be read: {error!r}") from error
    if interface.get("mask") is not None:
        raise ImageError("the frame has a mask, and pictures have none; give the array without it")
    if stream is not None and (isinstance(stream, bool) or not isinstance(stream, int) or stream < 1):
        raise ImageError(
            f"the frame's stream is {stream!r}; it is None, 1 (legacy default), 2 (per-thread default) or a "
            "handle"
        )
    if type_name not in _UINT8:
        raise _no_uint8(type_name)
    return _frame(array, color, image, stream=stream, owner=source)


def _of_dlpack(source: DlpackArray, color: str, image: ImageSpec) -> DeviceFrame:
    _, device = source.__dlpack_device__()
    try:
        capsule = source.__dlpack__(stream=_NO_ORDER)
        array, type_name = read_capsule(capsule)
    except (BufferError, TypeError, ValueError, RuntimeError) as error:
        raise ImageError(f"the frame gives no DLPack capsule: {error}") from error
    if type_name != "uint8":
        raise _no_uint8(type_name)

    def offer(stream: int) -> object:
        return source.__dlpack__(stream=stream)

    return _frame(array, color, image, device=int(device), offer=offer, owner=(source, capsule))


def _no_uint8(type_name: str) -> ImageError:
    return ImageError(
        f"a frame of {type_name} is not a picture; give uint8, values 0 to 255 "
        "(of floats in the unit interval: multiply by 255, round, and convert, on the device)"
    )


def _frame(array: Strided, color: str, image: ImageSpec, **others: Any) -> DeviceFrame:
    check_shape(array.shape, "a frame")
    height, width = array.shape[:2]
    channels = array.shape[2] if len(array.shape) == 3 else 1
    check_size(height, width, "the frame")
    if not array.address:
        raise ImageError(f"the frame of shape {array.shape} has no memory: its address is 0")
    return DeviceFrame(array.address, height, width, channels, _row_bytes(array), color, image, **others)


def _row_bytes(array: Strided) -> int:
    """The distance of the rows, of pixels that lie side by side."""
    height, width, *rest = array.shape
    channels = rest[0] if rest else 1
    packed = width * channels
    if array.strides is None:
        return packed
    if len(array.strides) != len(array.shape):
        raise ImageError(f"the frame has {len(array.strides)} strides for its shape {array.shape}")
    row, column = array.strides[:2]
    side_by_side = (width == 1 or column == channels) and (channels == 1 or array.strides[-1] == 1)
    if not side_by_side or (height > 1 and row < packed):
        raise ImageError(
            f"the frame's strides are {array.strides} bytes for its shape {array.shape}: its pixels have to "
            f"lie side by side ({packed} bytes a row), and its rows one after the other; copy it on the "
            "device first, as its library's `ascontiguousarray` or `.contiguous()` does"
        )
    return row if height > 1 else packed
