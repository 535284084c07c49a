"""Protocol Buffers' wire format, as far as an ONNX file needs it, without the packages protobuf and onnx.

Only what is asked for is looked at; weights are stepped over, not copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}
_LONGEST_VARINT = 10


@dataclass(frozen=True)
class Field:
    """One field of a message.

    Attributes:
        number: of the field; ``kind`` is its wire type.
        value: of a varint, else 0.
        begin: where the whole field begins in the data, its key included.
        start, end: where its content is.
    """

    number: int
    kind: int
    value: int
    begin: int
    start: int
    end: int


def fields(data: memoryview, start: int = 0, end: int | None = None) -> Iterator[Field]:
    """The fields of the message that lies in ``data[start:end]``.

    Raises:
        ValueError: the bytes are no message; what came before was.
    """
    stop = len(data) if end is None else end
    place = start
    while place < stop:
        begin = place
        key, place = _varint(data, place, stop)
        number, kind = key >> 3, key & 7
        value = 0
        if kind == VARINT:
            content = place
            value, place = _varint(data, place, stop)
        elif kind in _FIXED:
            content, place = place, place + _FIXED[kind]
        elif kind == BYTES:
            size, content = _varint(data, place, stop)
            place = content + size
        else:
            raise ValueError(f"byte {begin} begins a field of the unknown wire type {kind}")
        if place > stop:
            raise ValueError(f"the field at byte {begin} ends {place - stop} bytes behind its message")
        yield Field(number, kind, value, begin, content, place)


def message(number: int, content: bytes) -> bytes:
    """A field of bytes, a string or a message."""
    return key_and_size(number, len(content)) + content


def key_and_size(number: int, size: int) -> bytes:
    """What comes before so many bytes of a field."""
    return encode_varint(number << 3 | BYTES) + encode_varint(size)


def encode_varint(value: int) -> bytes:
    """A number that is not negative."""
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _varint(data: memoryview, place: int, stop: int) -> tuple[int, int]:
    value = 0
    for index in range(_LONGEST_VARINT):
        if place + index >= stop:
            raise ValueError(f"the number at byte {place} is cut off")
        byte = data[place + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, place + index + 1
    raise ValueError(f"the number at byte {place} has more than {_LONGEST_VARINT} bytes")
