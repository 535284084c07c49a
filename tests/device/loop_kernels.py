"""What our kernels do, for the stand-in driver: those of the loop here, and that for frames."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.device import frame_kernels
from tests.driver import inside
from tests.driver.inside import Span, Touched

Argument = Callable[[int, Any], Any]


def emulate_all() -> None:
    """All of `cnnrnn.runtime.device.loop_kernels` and `cnnrnn.runtime.device.frames`."""
    frame_kernels.emulate()
    inside.emulate("widen", _widen_touches, widen)
    inside.emulate("keep", _keep_touches, keep)
    inside.emulate("tell", _keep_touches, tell)
    inside.emulate("advance", _advance_touches, advance)
    inside.emulate("go_on", lambda argument: Touched([words(argument, 1, 3)], ()), go_on)


def words(argument: Argument, number: int, count: int) -> Span:
    """So many int32 from the address that an argument is."""
    return Span(argument(number, ctypes.c_uint64), 4 * count)


def numbers(span: Span) -> NDArray[np.int32]:
    found: NDArray[np.int32] = inside.view(span, np.int32)
    return found


def _states(argument: Argument) -> tuple[Span, Span]:
    """What is written, and what is read."""
    beams, total = argument(3, ctypes.c_int), argument(4, ctypes.c_longlong)
    return Span(argument(0, ctypes.c_uint64), total), Span(argument(1, ctypes.c_uint64), total // beams)


def _widen_touches(argument: Argument) -> Touched:
    wide, state = _states(argument)
    return Touched([state], [wide])


def widen(argument: Argument) -> None:
    wide, state = _states(argument)
    size, beams = argument(2, ctypes.c_int), argument(3, ctypes.c_int)
    rows = inside.view(state, np.uint8).reshape(-1, 1, size)
    inside.view(wide, np.uint8).reshape(-1, beams, size)[...] = rows


def _keep_touches(argument: Argument) -> Touched:
    count = argument(2, ctypes.c_int)
    # Which row it is, is known when it runs: all of the rows are open to it then.
    return Touched([words(argument, 1, count), words(argument, 3, 3)], [_rows(argument)])


def _rows(argument: Argument) -> Span:
    return inside.whole(argument(0, ctypes.c_uint64))


def keep(argument: Argument) -> None:
    count = argument(2, ctypes.c_int)
    steps, stopped, _ = numbers(words(argument, 3, 3))
    if not stopped:
        rows = numbers(_rows(argument))
        rows[steps * count : (steps + 1) * count] = numbers(words(argument, 1, count))


tell = keep  # into another place


def _advance_touches(argument: Argument) -> Touched:
    told = words(argument, 3, 1)
    return Touched([words(argument, 1, 1), words(argument, 2, 1)], [words(argument, 0, 3), told])


def advance(argument: Argument) -> None:
    progress, told = numbers(words(argument, 0, 3)), numbers(words(argument, 3, 1))
    if progress[1]:
        return
    progress[0] += 1
    done, late = numbers(words(argument, 1, 1))[0] > 0, numbers(words(argument, 2, 1))[0] != 0
    progress[1] = done or progress[0] >= progress[2] or late
    told[0] = -progress[0] if progress[1] else progress[0]


def go_on(argument: Argument) -> None:
    inside.set_condition(argument(0, ctypes.c_uint64), int(not numbers(words(argument, 1, 3))[1]))
