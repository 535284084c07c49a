"""DICOM files as pictures, by pydicom: rescaled, windowed as the file says, bright where little came through.

Only what describes the pixels is parsed. Who the patient is never leaves the file: no name, number or date
can reach a picture, a log or an error. PS3.3 C.7.6.3 and C.11 of the standard have the attributes.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnrnn.core.errors import ImageError
from cnnrnn.core.extras import require

_MAGIC = slice(128, 132)
_PIXELS = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
    "ModalityLUTSequence",
    "RescaleIntercept",
    "RescaleSlope",
    "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData",
    "PixelData",
)


def is_dicom(data: bytes) -> bool:
    """Whether a file is DICOM's, by the mark after its preamble."""
    return data[_MAGIC] == b"DICM"


def read_dicom_header(data: bytes, what: str) -> Any:
    """What a file says of its pixels, which may be read.

    Args:
        what: the file is called in an error.

    Returns:
        A pydicom data set that holds nothing of the patient.

    Raises:
        ImageError: it is damaged, has no pixels, or several frames.
        MissingDependencyError: pydicom is not installed.
    """
    pydicom = require("pydicom", extra="dicom")
    try:
        content = pydicom.dcmread(io.BytesIO(data), specific_tags=list(_PIXELS))
        frames, rows, columns = (int(content.get(name) or 0) for name in _PIXELS[3:6])
    except Exception as error:  # pydicom raises what it likes, and its words may hold what stands in the file
        raise ImageError(f"{what} is a damaged DICOM file ({type(error).__name__}); get it again") from None
    if "PixelData" not in content or not rows or not columns:
        raise ImageError(f"{what} is a DICOM file without a picture; give one that has pixels")
    if frames > 1:
        raise ImageError(
            f"{what} is a DICOM file of {frames} frames, and a picture is one; save the frame that is meant "
            "as a file of its own"
        )
    return content


def read_dicom(data: bytes, what: str) -> NDArray[np.uint8]:
    """The picture of a file: (H, W) grey or (H, W, 3) RGB, uint8.

    Raises:
        ImageError: as `read_dicom_header`; or the pixels are compressed in a way that no installed package
            decodes, or damaged.
        MissingDependencyError: pydicom is not installed.
    """
    content = read_dicom_header(data, what)
    pixels = require("pydicom.pixels", extra="dicom")
    try:
        stored = content.pixel_array
        if content.PhotometricInterpretation == "PALETTE COLOR":
            return _to_bytes(pixels.apply_color_lut(stored, content))
        if stored.ndim == 3:
            return _to_bytes(stored)
        return _grey(content, stored, pixels)
    except Exception as error:  # as above
        raise ImageError(
            f"{what} is a DICOM file whose pixels, in {content.file_meta.TransferSyntaxUID.name}, cannot be "
            f"decoded ({type(error).__name__}): they are damaged, or need a handler such as pylibjpeg; "
            "install it, or convert the file to an uncompressed transfer syntax"
        ) from None


def _grey(content: Any, stored: NDArray[Any], pixels: Any) -> NDArray[np.uint8]:
    """Through the modality's table and the window to 0 to 255."""
    values = pixels.apply_modality_lut(stored, content)
    shown = np.asarray(pixels.apply_voi_lut(values, content), np.float64)
    low, high = _range(content, shown)
    share = np.clip((shown - low) / max(high - low, 1e-12), 0, 1)
    if content.PhotometricInterpretation == "MONOCHROME1":
        share = 1 - share
    return np.round(share * 255).astype(np.uint8)


def _range(content: Any, shown: NDArray[np.float64]) -> tuple[float, float]:
    """What black and white are: a window of pydicom's fills the stored bits' range, a table its own.

    Without a window it is the picture's own range.
    """
    if tables := content.get("VOILUTSequence"):
        return 0.0, float(2 ** int(tables[0].LUTDescriptor[2]) - 1)
    if "WindowCenter" not in content or "WindowWidth" not in content:
        return float(shown.min()), float(shown.max())
    if tables := content.get("ModalityLUTSequence"):
        return 0.0, float(2 ** int(tables[0].LUTDescriptor[2]) - 1)
    bits = int(content.BitsStored)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if content.PixelRepresentation else (0, 2**bits - 1)
    slope, intercept = float(content.get("RescaleSlope", 1)), float(content.get("RescaleIntercept", 0))
    return low * slope + intercept, high * slope + intercept


def _to_bytes(colour: NDArray[Any]) -> NDArray[np.uint8]:
    """Colour of 8 bits, or the high byte of 16."""
    if colour.dtype == np.uint8:
        return colour.view(np.uint8)
    if colour.dtype == np.uint16:
        return (colour >> 8).astype(np.uint8)
    raise ValueError(f"colour of {colour.dtype}")
