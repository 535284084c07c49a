"""From a path, encoded bytes or an array to the uint8 RGB picture that the encoder takes.

Rules, in the order in which they apply:

- Formats: JPEG, PNG, WebP, GIF, BMP, TIFF. Of an animation the first frame counts.
- Limits: a side of 1 to 16,384 pixels, 100 million pixels, 256 MiB of file; known before anything is
  decoded. A picture of one pixel is a picture. A truncated file is refused, never filled in.
- 16-bit samples are scaled to 8 bits (65535 to 255, rounded); floating-point ones are refused.
- CMYK becomes RGB as OpenCV does it, without a colour profile; grey is repeated three times.
- Alpha, not premultiplied, is laid onto white.
- EXIF's orientation is applied, as a viewer does.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cnnrnn.core.errors import ImageError, OptionsError
from cnnrnn.core.extras import require_cv2
from cnnrnn.core.manifest import ImageSpec
from cnnrnn.runtime.dicom import is_dicom, read_dicom, read_dicom_header
from cnnrnn.runtime.dlpack import ON_HOST, DlpackArray, is_on
from cnnrnn.runtime.image_header import Header, read_header

Picture = NDArray[np.uint8]
ImageSource = str | os.PathLike[str] | bytes | bytearray | memoryview | NDArray[np.uint8] | DlpackArray
Color = Literal["bgr", "rgb"]

MAX_SIDE_PX = 16_384
MAX_PIXELS = 100_000_000
MAX_FILE_BYTES = 256 * 1024**2


def read_image(source: ImageSource, color: Color = "bgr") -> Picture:
    """Read a picture.

    Args:
        source: a path, an encoded file's bytes, or an array, NumPy's or by DLPack on the host: uint8, (H, W)
            grey, (H, W, 1) grey, (H, W, 3) colour or (H, W, 4) colour and alpha.
        color: the order of an array's channels, ``"bgr"`` (OpenCV's, the default) or ``"rgb"``; for files it
            means nothing.

    Returns:
        (H, W, 3) uint8 RGB; an array of its own, or the caller's own where that is RGB already.

    Raises:
        ImageError: the picture cannot be read or breaks a rule of this module.
        OptionsError: ``color`` is neither ``"bgr"`` nor ``"rgb"``.
        MissingDependencyError: OpenCV is not installed.
    """
    check_color(color)
    if isinstance(source, np.ndarray):
        return _from_array(source, color)
    if isinstance(source, DlpackArray) and is_on(source, ON_HOST):
        return _from_array(_from_dlpack(source), color)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _decode(bytes(source), f"the picture ({len(source)} bytes)")
    if isinstance(source, (str, os.PathLike)):
        return _decode(_read_file(Path(source)), str(source))
    raise _unreadable(source)


def _unreadable(source: object) -> ImageError:
    kind = type(source).__name__
    advice = "give a path, encoded bytes or a uint8 array"
    if source is None:
        advice = "OpenCV's imread gives None for a file that it cannot read; give the path itself"
    elif isinstance(source, (list, tuple)):
        advice = "several pictures are a list given to the model itself, or go through its `map`"
    elif type(source).__module__.startswith("PIL."):
        advice = "give numpy.asarray(image.convert('RGB')) with color='rgb', or the path of its file"
    return ImageError(f"an object of type {kind} cannot be read as a picture; {advice}")


def check_color(color: str) -> None:
    """Refuse an unknown channel order.

    Raises:
        OptionsError: it is neither ``"bgr"`` nor ``"rgb"``.
    """
    if color not in ("bgr", "rgb"):
        raise OptionsError(f"color={color!r} is unknown; give 'bgr' (OpenCV's order) or 'rgb'")


@dataclass(frozen=True)
class Fitted:
    """How a picture lies in the encoder's: its size there, and its upper left corner, in pixels.

    A corner above or to the left of the encoder's picture, as of a crop, is below 0.
    """

    height: int
    width: int
    top: int
    left: int


def fitted(height: int, width: int, spec: ImageSpec) -> Fitted:
    """How a picture of this size is fitted.

    ``letterbox`` keeps the proportions and centres the picture on borders of ``spec.fill``; ``stretch``
    does not keep them; ``crop`` keeps them, fills the frame and cuts what overhangs, evenly on both sides.
    ``line`` fits the height, keeps the proportions and puts the border on the right; a line that is too long
    is squeezed.
    """
    if spec.resize == "stretch":
        return Fitted(spec.height, spec.width, 0, 0)
    if spec.resize == "line":
        return Fitted(spec.height, min(max(1, round(width * spec.height / height)), spec.width), 0, 0)
    ratios = (spec.height / height, spec.width / width)
    scale = min(ratios) if spec.resize == "letterbox" else max(ratios)
    high, wide = max(1, round(height * scale)), max(1, round(width * scale))
    return Fitted(high, wide, (spec.height - high) // 2, (spec.width - wide) // 2)


def fit(image: Picture, spec: ImageSpec) -> Picture:
    """Bring a picture to the encoder's size, as `fitted` says. Training prepares its pictures so too.

    Shrinking averages areas, enlarging interpolates linearly.

    Args:
        image: (H, W, 3) uint8 RGB.

    Returns:
        (spec.height, spec.width, 3) uint8 RGB, contiguous.
    """
    place = fitted(image.shape[0], image.shape[1], spec)
    inner, top, left = _resize(image, place.height, place.width), place.top, place.left
    if place.height >= spec.height and place.width >= spec.width:
        return np.ascontiguousarray(inner[-top : spec.height - top, -left : spec.width - left])
    framed = np.empty((spec.height, spec.width, 3), np.uint8)
    framed[:] = spec.fill
    framed[top : top + place.height, left : left + place.width] = inner
    return framed


def _resize(image: Picture, height: int, width: int) -> Picture:
    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    cv2 = require_cv2()
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    resized: Picture = cv2.resize(
        image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    return resized


def _read_file(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ImageError(
                f"{path} has {size} bytes; at most {MAX_FILE_BYTES} are read. Give a smaller picture"
            )
        return path.read_bytes()
    except IsADirectoryError as error:
        raise ImageError(
            f"{path} is a folder; give its pictures as a list of paths (cnnrnn run takes folders)"
        ) from error
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:  # a NUL in the path
        raise ImageError(f"cannot read {str(path)!r}: {error}") from error


def check_encoded(source: str | os.PathLike[str] | bytes) -> None:
    """Look at a file's header alone: that it is a picture, within the limits, and not cut short.

    Damage between its start and its end is only found by decoding it.

    Args:
        source: a path, or an encoded file's bytes.

    Raises:
        ImageError: as `read_image` raises it.
    """
    encoded = isinstance(source, bytes)
    data = source if isinstance(source, bytes) else _read_file(Path(source))
    what = f"the picture ({len(data)} bytes)" if encoded else str(source)
    if is_dicom(data):
        content = read_dicom_header(data, what)
        check_size(int(content.Rows), int(content.Columns), what)
    else:
        _header(data, what)


def _header(data: bytes, what: str) -> Header:
    if not data:
        raise ImageError(f"{what} is empty; get it again")
    header = read_header(data)
    if header is None:
        raise ImageError(
            f"{what} is not a JPEG, PNG, WebP, GIF, BMP, TIFF or DICOM picture; convert it to one of those"
        )
    check_size(header.height, header.width, what)
    if not header.complete:
        raise ImageError(
            f"{what} is a truncated {header.format}: the file ends before the picture does; get it again"
        )
    return header


def _decode(data: bytes, what: str) -> Picture:
    if is_dicom(data):
        content = read_dicom_header(data, what)
        check_size(int(content.Rows), int(content.Columns), what)
        return _to_rgb(read_dicom(data, what), "rgb")
    header = _header(data, what)
    cv2 = require_cv2()
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageError(f"{what} is a {header.format} that OpenCV refuses: {error}") from error
    if decoded is None:
        raise ImageError(
            f"{what} is a damaged {header.format}, or OpenCV {cv2.__version__} cannot decode that format "
            "(GIF needs 4.12, animated WebP 4.11); get it again, or convert it to PNG"
        )
    check_size(decoded.shape[0], decoded.shape[1], what)
    return _turn(_to_rgb(_to_8_bits(decoded, what), "bgr"), header.orientation)


def _from_array(array: NDArray[Any], color: Color) -> Picture:
    if array.dtype != np.uint8:
        raise ImageError(
            f"an array of {array.dtype} is not a picture; give uint8, values 0 to 255: {_to_uint8(array)}"
        )
    check_shape(array.shape, "an array")
    check_size(array.shape[0], array.shape[1], "the array")
    return _to_rgb(array, color)


def _to_uint8(array: NDArray[Any]) -> str:
    if array.dtype.kind == "f":
        return (
            "of the unit interval by NumPy (x * 255).round().astype('uint8'), by torch "
            "(x * 255).round().byte()"
        )
    if array.dtype == np.uint16:
        return "of all 16 bits (x >> 8).astype('uint8')"
    return "as it is x.astype('uint8')"


def _from_dlpack(source: DlpackArray) -> NDArray[Any]:
    try:
        return np.from_dlpack(source)
    except Exception as error:  # a library raises what it likes
        raise ImageError(f"the array cannot be read by DLPack: {error}") from error


def check_shape(shape: tuple[int, ...], what: str) -> None:
    """Refuse an array that is no picture.

    Raises:
        ImageError: it is not (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).
    """
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in (1, 3, 4)):
        first = len(shape) == 3 and shape[0] in (1, 3, 4)
        advice = "with the channels last: x.transpose(1, 2, 0), of torch's x.permute(1, 2, 0)"
        raise ImageError(
            f"{what} of shape {shape} is not a picture; give (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), "
            + (advice if first else "and several pictures as a list")
        )


def check_size(height: int, width: int, what: str) -> None:
    """Refuse a picture without pixels, or of too many.

    Raises:
        ImageError: it is empty, or larger than the module's limits.
    """
    if height < 1 or width < 1:
        raise ImageError(f"{what} is {width} x {height} pixels: it is empty")
    if max(height, width) > MAX_SIDE_PX or height * width > MAX_PIXELS:
        raise ImageError(
            f"{what} is {width} x {height} pixels; at most {MAX_SIDE_PX} a side and {MAX_PIXELS} in all "
            "are read. Make it smaller first"
        )


def _to_8_bits(image: NDArray[np.generic], what: str) -> Picture:
    if image.dtype == np.uint8:
        return image.view(np.uint8)
    if image.dtype == np.uint16:
        return ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
    raise ImageError(f"{what} has samples of {image.dtype}; 8 and 16 bits are read. Convert it to 8-bit PNG")


def _to_rgb(image: Picture, color: Color) -> Picture:
    """(H, W), (H, W, 1), (H, W, 3) or (H, W, 4) in ``color`` order to (H, W, 3) RGB."""
    if image.ndim == 2 or image.shape[2] == 1:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    if image.shape[2] == 4:
        image = _onto_white(image)
    return np.ascontiguousarray(image[:, :, ::-1]) if color == "bgr" else image


def _onto_white(image: Picture) -> Picture:
    alpha = image[:, :, 3:]
    if alpha.min() == 255:
        return image[:, :, :3]
    opacity = alpha.astype(np.uint16)
    mixed = image[:, :, :3] * opacity + 255 * (255 - opacity)
    return ((mixed + 127) // 255).astype(np.uint8)


def _turn(image: Picture, orientation: int) -> Picture:
    """Apply EXIF's orientation (tag 0x0112): 2 and 4 mirror, 3, 6 and 8 turn, 5 and 7 do both."""
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)
