"""The stand-in driver from inside a process that uses it: log, counters, planted failures, engines."""

from __future__ import annotations

import ctypes
import itertools
import traceback
from collections.abc import Callable, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import Any, NamedTuple

# Errors of the driver, by the names of cuda.h.
OUT_OF_MEMORY = 2
INVALID_HANDLE = 400
ILLEGAL_ADDRESS = 700
LAUNCH_FAILED = 719
STREAM_CAPTURE_UNSUPPORTED = 900


class Lines(IntEnum):
    """What the driver keeps a list of."""

    CALLS = 0
    RUNS = 1
    REPORTS = 2


COUNTS = (
    "host_to_device",
    "host_to_device_bytes",
    "device_to_host",
    "device_to_host_bytes",
    "device_to_device",
    "device_to_device_bytes",
    "pageable",
    "synchronizes",
    "kernels",
    "host_functions",
    "graph_launches",
)
# Kinds of handles, by their numbers in standin.h. Nodes go with their graph; cuda.core keeps libraries
# loaded.
KINDS = {
    "contexts": 1,
    "streams": 2,
    "events": 3,
    "graphs": 4,
    "executable_graphs": 6,
    "pools": 9,
    "user_objects": 10,
    "modules": 11,
}
PLACES = {"device_memory": 0, "pinned_memory": 1}


class Span(NamedTuple):
    """Some bytes of device or pinned memory."""

    address: int
    size: int


class _Access(ctypes.Structure):
    _fields_ = (("at", ctypes.c_size_t), ("bytes", ctypes.c_size_t), ("writes", ctypes.c_bool))


_Work = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
_Arguments = ctypes.POINTER(ctypes.c_void_p)
_Grid = ctypes.POINTER(ctypes.c_uint)
_KernelTouches = ctypes.CFUNCTYPE(ctypes.c_int, _Arguments, _Grid, ctypes.POINTER(_Access), ctypes.c_int)
_KernelWork = ctypes.CFUNCTYPE(ctypes.c_int, _Arguments, _Grid)

_kept: list[Any] = []  # callbacks: a graph may run them at any time
_names = itertools.count()


class Touched(NamedTuple):
    """What a launch reads and writes."""

    reads: Sequence[Span]
    writes: Sequence[Span]


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL:
    """The driver that this process found, which has to be the stand-in."""
    found = ctypes.CDLL("libcuda.so.1")
    found.standin_line.restype = ctypes.c_char_p
    found.standin_count.restype = ctypes.c_uint64
    found.standin_memory_bytes.argtypes = (ctypes.c_size_t,)
    found.standin_memory_bytes.restype = ctypes.c_size_t
    found.standin_bytes_alive.restype = ctypes.c_size_t
    found.standin_set_condition.argtypes = (ctypes.c_uint64, ctypes.c_uint)
    found.standin_enqueue.argtypes = (
        ctypes.c_void_p, ctypes.c_char_p, _Work, ctypes.c_void_p, ctypes.POINTER(_Access), ctypes.c_int,
    )  # fmt: skip
    found.standin_emulate.argtypes = (ctypes.c_char_p, _KernelTouches, _KernelWork)
    return found


def lines(kind: Lines) -> list[str]:
    """The driver's list of this kind since the last `reset`."""
    driver = library()
    return [driver.standin_line(kind, i).decode() for i in range(driver.standin_line_count(kind))]


def counts() -> dict[str, int]:
    """Copies, bytes, waits and launches that were carried out since the last `reset`."""
    return {name: library().standin_count(index) for index, name in enumerate(COUNTS)}


def alive() -> dict[str, int]:
    """How many of each kind of thing were made and not given back."""
    driver = library()
    made = {name: driver.standin_alive(kind) for name, kind in KINDS.items()}
    return made | {name: driver.standin_memory_alive(place) for name, place in PLACES.items()}


def taken_bytes() -> dict[str, int]:
    """How many bytes were asked for and not given back."""
    return {name: library().standin_bytes_alive(place) for name, place in PLACES.items()}


def reset() -> None:
    """Forget what was logged and counted so far."""
    library().standin_reset()


def fail_call(number: int, error: int = LAUNCH_FAILED) -> None:
    """Make the call of this number, from 1 and from now, fail with this error; 0: none."""
    library().standin_fail_call(number, error)


def break_context(error: int = LAUNCH_FAILED) -> None:
    """Let every call on the current context fail from now on, as after a fault on a device."""
    library().standin_break(error)


def view(span: Span, dtype: Any, shape: Sequence[int] | None = None) -> Any:
    """The bytes as an array, which may be touched only by work that declared them."""
    import numpy as np

    memory = memoryview((ctypes.c_char * span.size).from_address(span.address))
    array = np.frombuffer(memory, dtype)
    return array.reshape(shape) if shape is not None else array


def whole(address: int) -> Span:
    """All of the memory that starts at this address."""
    return Span(address, library().standin_memory_bytes(address))


def enqueue(
    stream: int,
    work: Callable[[], object],
    *,
    reads: Sequence[Span] = (),
    writes: Sequence[Span] = (),
    name: str = "",
) -> int:
    """Queue an engine on the stream of this handle, which may be captured; the driver's error, 0 for none.

    It runs when the stream does. What it does not declare is closed to it, and what it only reads cannot be
    written. An exception in it is printed, and fails the stream.
    """
    callback = _Work(_guarded(lambda _: work()))
    _kept.append(callback)
    accesses = _accesses(Touched(reads, writes))
    name = name or f"engine {next(_names)}"
    error: int = library().standin_enqueue(stream, name.encode(), callback, None, accesses, len(accesses))
    return error


def emulate(
    name: str,
    touches: Callable[[Callable[[int, Any], Any]], Touched],
    work: Callable[[Callable[[int, Any], Any]], None],
) -> None:
    """Say what the kernel of this name does.

    Both get a function that reads an argument: of a number and a ctypes type, its value.
    """

    def fill(arguments: Any, _grid: Any, accesses: Any, room: int) -> int:
        found = _accesses(touches(_reader(arguments)))
        if len(found) > room:
            return -1
        for index, access in enumerate(found):
            accesses[index] = access
        return len(found)

    callbacks = _KernelTouches(fill), _KernelWork(_guarded(lambda arguments, _grid: work(_reader(arguments))))
    _kept.append(callbacks)
    library().standin_emulate(name.encode(), *callbacks)


def set_condition(handle: int, value: int) -> None:
    """What ``cudaGraphSetConditional`` does, for emulations."""
    if library().standin_set_condition(handle, value):
        raise ValueError(f"{handle} is no handle of a condition")


def _reader(arguments: Any) -> Callable[[int, Any], Any]:
    return lambda index, kind: ctypes.cast(arguments[index], ctypes.POINTER(kind)).contents.value


def _accesses(touched: Touched) -> Any:
    spans = [(span, False) for span in touched.reads] + [(span, True) for span in touched.writes]
    return (_Access * len(spans))(*(_Access(span.address, span.size, writes) for span, writes in spans))


def _guarded(function: Callable[..., object]) -> Callable[..., int]:
    """Gives 0, or 1 for an exception, which a C caller could not take."""

    def call(*arguments: Any) -> int:
        try:
            function(*arguments)
        except Exception:
            traceback.print_exc()
            return 1
        return 0

    return call
