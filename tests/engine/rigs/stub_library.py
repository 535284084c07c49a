"""A shared library of functions that return a number, written without a compiler.

TensorRT's Python bindings are linked to the libraries of TensorRT proper, which have no wheel. A stand-in
that defines the names is enough for the bindings to import and show their classes. It is an ELF file for
x86-64 with the least that glibc's loader needs: one segment with the symbols and the code, one with the
dynamic section.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

# What bindings 10.3 to 11.4 look up when they are imported; the version is the parser's.
TENSORRT_FUNCTIONS = {
    "createInferBuilder_INTERNAL": 0,
    "createInferRefitter_INTERNAL": 0,
    "createInferRuntime_INTERNAL": 0,
    "createNvOnnxParser_INTERNAL": 0,
    "createNvOnnxParserRefitter_INTERNAL": 0,
    "getBuilderPluginRegistry": 0,
    "getPluginRegistry": 0,
    "getNvOnnxParserVersion": 0,
    "initLibNvInferPlugins": 1,
}

_PAGE = 4096
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_ENTRY = struct.Struct("<QQ")
_LOAD, _DYNAMIC, _STACK = 1, 2, 0x6474E551
_EXECUTE, _WRITE, _READ = 1, 2, 4
_HASH, _STRINGS, _SYMBOLS, _STRINGS_SIZE, _SYMBOL_SIZE, _SONAME = 4, 5, 6, 10, 11, 14
_GLOBAL_FUNCTION = 0x12
_MOV_EAX, _RET = b"\xb8", b"\xc3"


def write_stub(path: Path, functions: Mapping[str, int]) -> Path:
    """Write a library, whose soname is the file's name, of ``int f(void)`` that return the given numbers."""
    strings = b"\0" + path.name.encode() + b"\0"
    names = {}
    for name in functions:
        names[name] = len(strings)
        strings += name.encode() + b"\0"
    count = len(functions) + 1
    # One bucket, whose chain runs through every symbol.
    table = struct.pack(f"<{3 + count}I", 1, count, count - 1, 0, *range(count - 1))
    hash_at = _aligned(_HEADER.size + 4 * _SEGMENT.size)
    symbols_at = _aligned(hash_at + len(table))
    strings_at = symbols_at + count * _SYMBOL.size
    code_at = _aligned(strings_at + len(strings))
    symbols, code = _SYMBOL.pack(0, 0, 0, 0, 0, 0), b""
    for name, value in functions.items():
        symbols += _SYMBOL.pack(names[name], _GLOBAL_FUNCTION, 0, 1, code_at + len(code), 6)
        code += (_MOV_EAX + struct.pack("<I", value) + _RET).ljust(8, b"\xcc")
    end = code_at + len(code)
    dynamic_at = -(-end // _PAGE) * _PAGE
    entries = (
        (_SONAME, 1),
        (_HASH, hash_at),
        (_STRINGS, strings_at),
        (_SYMBOLS, symbols_at),
        (_STRINGS_SIZE, len(strings)),
        (_SYMBOL_SIZE, _SYMBOL.size),
        (0, 0),
    )
    dynamic = b"".join(_ENTRY.pack(*entry) for entry in entries)
    segments = (
        (_LOAD, _READ | _EXECUTE, 0, end, _PAGE),
        (_LOAD, _READ | _WRITE, dynamic_at, len(dynamic), _PAGE),
        (_DYNAMIC, _READ | _WRITE, dynamic_at, len(dynamic), 8),
        (_STACK, _READ | _WRITE, 0, 0, 16),
    )
    image = bytearray(dynamic_at + len(dynamic))
    _put(image, 0, _header(len(segments)))
    for number, (kind, access, at, size, alignment) in enumerate(segments):
        where = _HEADER.size + number * _SEGMENT.size
        _put(image, where, _SEGMENT.pack(kind, access, at, at, at, size, size, alignment))
    for at, part in (
        (hash_at, table),
        (symbols_at, symbols),
        (strings_at, strings),
        (code_at, code),
        (dynamic_at, dynamic),
    ):
        _put(image, at, part)
    path.write_bytes(image)
    return path


def _header(segments: int) -> bytes:
    identity = b"\x7fELF" + bytes([2, 1, 1, 0]) + bytes(8)
    shared_object, x86_64 = 3, 62
    return _HEADER.pack(
        identity,
        shared_object,
        x86_64,
        1,
        0,
        _HEADER.size,
        0,
        0,
        _HEADER.size,
        _SEGMENT.size,
        segments,
        64,
        0,
        0,
    )


def _put(image: bytearray, at: int, part: bytes) -> None:
    image[at : at + len(part)] = part


def _aligned(size: int) -> int:
    return -(-size // 8) * 8
