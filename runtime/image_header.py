"""What an encoded picture's header says, read before it is decoded: format, size, orientation, completeness.

A few bytes can claim a picture of many gigabytes, and decoders fill in what a truncated file lacks with
grey, so both are looked at first. Formats: JPEG, PNG (APNG), WebP, GIF, BMP and TIFF.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_PNG = b"\x89PNG\r\n\x1a\n"
_ORIENTATION_TAG = 0x0112
_WIDTH_TAG, _HEIGHT_TAG = 0x0100, 0x0101
_MAX_TAGS = 4096


@dataclass(frozen=True)
class Header:
    """Attributes:
    format: ``"JPEG"``, ``"PNG"``, ``"WebP"``, ``"GIF"``, ``"BMP"`` or ``"TIFF"``.
    width, height: in pixels, as stored, before the orientation is applied.
    orientation: EXIF's, 1 to 8, still to be applied; 1 for TIFF, which OpenCV turns itself.
    complete: False where the file ends before the picture does. For GIF, BMP and TIFF the decoder finds out.
    """

    format: str
    width: int
    height: int
    orientation: int = 1
    complete: bool = True


def read_header(data: bytes) -> Header | None:
    """The header of an encoded picture; None where it is none of the formats, or too short to have a size."""
    readers = (
        (data.startswith(b"\xff\xd8\xff"), _jpeg),
        (data.startswith(_PNG), _png),
        (data[:4] == b"RIFF" and data[8:12] == b"WEBP", _webp),
        (data[:6] in (b"GIF87a", b"GIF89a"), _gif),
        (data[:2] == b"BM", _bmp),
        (data[:4] in (b"II*\0", b"MM\0*"), _tiff),
    )
    try:
        return next((read(data) for fits, read in readers if fits), None)
    except (struct.error, IndexError):
        return None


def _jpeg(data: bytes) -> Header | None:
    """Segments up to the first scan; the end marker cannot occur inside a scan's data, which is stuffed."""
    width = height = 0
    orientation = 1
    at = 2
    while True:
        while data[at] == 0xFF and data[at + 1] == 0xFF:  # fill bytes
            at += 1
        marker = data[at + 1]
        if data[at] != 0xFF:
            return None
        size: int = struct.unpack_from(">H", data, at + 2)[0]
        body = data[at + 4 : at + 2 + size]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", body, 1)
        elif marker == 0xE1 and body.startswith(b"Exif\0\0"):
            orientation = _exif_orientation(body[6:])
        elif marker == 0xDA:
            complete = data.rfind(b"\xff\xd9") > at
            return Header("JPEG", width, height, orientation, complete)
        at += 2 + size


def _png(data: bytes) -> Header:
    width, height = struct.unpack_from(">II", data, 16)
    orientation = 1
    for kind, body in _png_chunks(data):
        if kind == b"eXIf":
            orientation = _exif_orientation(body)
        elif kind == b"IEND":
            return Header("PNG", width, height, orientation)
    return Header("PNG", width, height, orientation, complete=False)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_PNG)
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        if at + 12 + size > len(data):
            return
        kind = data[at + 4 : at + 8]
        yield kind, data[at + 8 : at + 8 + size] if kind == b"eXIf" else b""
        at += 12 + size


def _webp(data: bytes) -> Header | None:
    (size,) = struct.unpack_from("<I", data, 4)
    complete = len(data) >= size + 8
    kind = data[12:16]
    if kind == b"VP8X":
        width = 1 + int.from_bytes(data[24:27], "little")
        height = 1 + int.from_bytes(data[27:30], "little")
        return Header("WebP", width, height, _webp_orientation(data), complete and len(data) >= 30)
    if kind == b"VP8L" and data[20] == 0x2F:
        (bits,) = struct.unpack_from("<I", data, 21)
        return Header("WebP", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), 1, complete)
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return Header("WebP", width & 0x3FFF, height & 0x3FFF, 1, complete)
    return None


def _webp_orientation(data: bytes) -> int:
    at = 12
    while at + 8 <= len(data):
        (size,) = struct.unpack_from("<I", data, at + 4)
        if data[at : at + 4] == b"EXIF":
            return _exif_orientation(data[at + 8 : at + 8 + size].removeprefix(b"Exif\0\0"))
        at += 8 + size + size % 2
    return 1


def _gif(data: bytes) -> Header:
    width, height = struct.unpack_from("<HH", data, 6)
    return Header("GIF", width, height)


def _bmp(data: bytes) -> Header:
    (size,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if size == 12 else "<ii", data, 18)
    return Header("BMP", abs(width), abs(height))


def _tiff(data: bytes) -> Header | None:
    tags = _tiff_tags(data)
    if _WIDTH_TAG not in tags or _HEIGHT_TAG not in tags:
        return None
    return Header("TIFF", tags[_WIDTH_TAG], tags[_HEIGHT_TAG])


def _exif_orientation(block: bytes) -> int:
    """EXIF's orientation, 1 where there is none or the block is damaged: a viewer shows it as it is then."""
    try:
        found = _tiff_tags(block).get(_ORIENTATION_TAG, 1)
    except (struct.error, IndexError):
        return 1
    return found if 1 <= found <= 8 else 1


def _tiff_tags(block: bytes) -> dict[int, int]:
    """The short and long tags, of one value, of a TIFF block's first directory."""
    if block[:2] not in (b"II", b"MM"):
        return {}
    order = "<" if block[:2] == b"II" else ">"
    (at,) = struct.unpack_from(order + "I", block, 4)
    (count,) = struct.unpack_from(order + "H", block, at)
    tags = {}
    for index in range(min(count, _MAX_TAGS)):
        entry = at + 2 + 12 * index
        tag, kind, values = struct.unpack_from(order + "HHI", block, entry)
        if values == 1 and kind in (3, 4):
            (tags[tag],) = struct.unpack_from(order + ("H" if kind == 3 else "I"), block, entry + 8)
    return tags
