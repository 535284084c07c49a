"""What the kernels of the loop do, for the stand-in driver."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.driver import inside
from tests.driver.inside import Span, Touched

Argument = Callable[[int, Any], Any]


def emulate_all() -> None:
    """``keep``, ``advance`` and ``go_on``, as in `cnnrnn.runtime.device.loop_kernels`."""
    inside.emulate("keep", _keep_touches, keep)
    inside.emulate("advance", _advance_touches, advance)
    inside.emulate("go_on", lambda argument: Touched([words(argument, 1, 2)], ()), go_on)


def words(argument: Argument, number: int, count: int) -> Span:
    """So many int32 from the address that an argument is."""
    return Span(argument(number, ctypes.c_uint64), 4 * count)


def numbers(span: Span) -> NDArray[np.int32]:
    found: NDArray[np.int32] = inside.view(span, np.int32)
    return found


def _keep_touches(argument: Argument) -> Touched:
    count = argument(2, ctypes.c_int)
    # Which row it is, is known when it runs: the whole history is open to it then.
    history = inside.whole(argument(0, ctypes.c_uint64))
    return Touched([words(argument, 1, count), words(argument, 3, 2)], [history])


def keep(argument: Argument) -> None:
    count = argument(2, ctypes.c_int)
    steps, stopped = numbers(words(argument, 3, 2))
    if not stopped:
        history = numbers(inside.whole(argument(0, ctypes.c_uint64)))
        history[steps * count : (steps + 1) * count] = numbers(words(argument, 1, count))


def _advance_touches(argument: Argument) -> Touched:
    return Touched([words(argument, 1, 1), words(argument, 2, 1)], [words(argument, 0, 2)])


def advance(argument: Argument) -> None:
    progress = numbers(words(argument, 0, 2))
    if progress[1]:
        return
    progress[0] += 1
    done, late = numbers(words(argument, 1, 1))[0] > 0, numbers(words(argument, 2, 1))[0] != 0
    progress[1] = done or progress[0] >= argument(3, ctypes.c_int) or late


def go_on(argument: Argument) -> None:
    inside.set_condition(argument(0, ctypes.c_uint64), int(not numbers(words(argument, 1, 2))[1]))
