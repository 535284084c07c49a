"""A device's primary context, by pycuda's own stack of contexts."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from cnnrnn.runtime.device.failures import Failures
from cnnrnn.runtime.device.pycuda.libcuda import Libcuda

# One for each device, as long as the process: pycuda would detach one that it collects as if it were no
# primary context, which the driver refuses, and leave it current.
_contexts: dict[int, Any] = {}
_lock = threading.Lock()
# By device, what could not be given back, since its context could not be made current: pycuda ends the
# process if that happens to it again, so it stays until something else is given back.
_stuck: dict[int, list[Any]] = {}


class PrimaryContext:
    """The context that torch, CuPy and CUDA's runtime use too.

    Args:
        driver: the module ``pycuda.driver``.
        raw: its device.
    """

    def __init__(self, driver: Any, libcuda: Libcuda, failures: Failures, raw: Any, ordinal: int) -> None:
        self._driver, self._libcuda, self._failures = driver, libcuda, failures
        self._entered = threading.local()
        with _lock, failures.told("starting the GPU"):
            if ordinal not in _contexts:
                _contexts[ordinal] = raw.retain_primary_context()
                atexit.register(let_go, libcuda, ordinal, os.getpid())
            self._raw = _contexts[ordinal]
            self._stuck = _stuck.setdefault(ordinal, [])

    @contextmanager
    def current(self) -> Iterator[None]:
        """See `cnnrnn.runtime.device.protocol.Device.current`.

        What the caller has current may be a context that pycuda does not know, torch's say; pycuda's stack
        would lose it.
        """
        entered, before = False, 0
        # Also where the context is lost: what was made in it is still to be given back.
        with self._failures.releasing("making the GPU's context current"):
            before = self._push()
            entered = True
        try:
            yield
        finally:
            if entered:
                self._pop(before)

    @contextmanager
    def releasing(self, what: str, held: list[Any] | None = None) -> Iterator[None]:
        """For giving something back: within the context, whatever is current, and if it is lost too.

        Args:
            held: what is given back, and has no other reference.

        Raises:
            DeviceError: the driver refused.
        """
        with self._failures.releasing(what):
            if self._depth:
                yield
                return
            try:
                before = self._push()
            except BaseException:
                self._stuck.append(held)
                raise
            try:
                self._stuck.clear()
                yield
            finally:
                self._pop(before)

    @property
    def _depth(self) -> int:
        """How often this thread has entered, of which pycuda knows."""
        depth: int = getattr(self._entered, "depth", 0)
        return depth

    def _push(self) -> int:
        """Enter; gives the context that was current."""
        before = self._libcuda.current()
        try:
            self._raw.push()
        except BaseException:
            self._restore(before)
            raise
        self._entered.depth = self._depth + 1
        return before

    def _pop(self, before: int) -> None:
        self._entered.depth = self._depth - 1
        try:
            self._driver.Context.pop()
        except self._driver.Error as error:
            # Nothing has happened yet then, and what is left on the stack would abort the process at its end.
            if "cuCtxPopCurrent" in str(error):
                with suppress(self._driver.Error):
                    self._driver.Context.pop()
        self._restore(before)

    def _restore(self, before: int) -> None:
        with suppress(RuntimeError):
            if self._libcuda.current() != before:
                self._libcuda.set_current(before)


def let_go(libcuda: Libcuda, ordinal: int, process: int) -> None:
    """Give the context back at the end of the process that retained it, while the driver is there."""
    if os.getpid() != process or ordinal not in _contexts:
        return
    with suppress(Exception):
        before = libcuda.current()
        _contexts.pop(ordinal).detach()
        libcuda.set_current(before)
