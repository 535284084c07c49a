"""Sessions that wait to be used again, and the engines that they share."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from cnnrnn.core.errors import ClosedError, CnnrnnError, DeviceMemoryError

_log = logging.getLogger(__name__)

# Sessions that wait: of one size several, where several threads search; of many sizes, the latest.
MAX_IDLE = 8

Key = TypeVar("Key")
Made = TypeVar("Made", bound=Any)


class Pool(Generic[Key, Made]):
    """Things that are made when they are asked for and none waits; each is used by one thread at a time.

    Args:
        what: they are, for messages.
        most: that wait; the one that was used longest ago is closed first.
    """

    def __init__(self, what: str, most: int = MAX_IDLE) -> None:
        self._what, self._most = what, most
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._idle: list[tuple[Key, Made]] = []  # the one that was used last comes last
        self._closed = False

    def take(self, key: Key, make: Callable[[], Made]) -> Made:
        """One of this key, waiting or new. One at a time is made.

        Where there is no memory for it, those that wait are closed, and it is tried again.

        Raises:
            ClosedError: the pool is closed.
        """
        waiting = self._waiting(key)
        if waiting is not None:
            return waiting
        with self._making:
            waiting = self._waiting(key)
            if waiting is not None:
                return waiting
            try:
                return make()
            except DeviceMemoryError as error:
                idle = self._let_go_of_idle()
                if not idle:
                    raise
                _log.info("%s; tried again without the %s that were waiting", error, self._what)
                close_all(idle)
            return make()

    def give_back(self, key: Key, made: Made, usable: bool) -> list[Made]:
        """Let it wait for the next. What is to be closed: it itself if it is not usable, or another one where
        there is no room."""
        unwanted = []
        with self._lock:
            if usable and not self._closed:
                self._idle.append((key, made))
                while len(self._idle) > self._most:
                    unwanted.append(self._idle.pop(0)[1])
            else:
                unwanted.append(made)
        return unwanted

    def close(self) -> list[Made]:
        """None waits any more; what is to be closed: those that did. Those in use are when they come back."""
        with self._lock:
            self._closed = True
        with self._making:
            return self._let_go_of_idle()

    def _waiting(self, key: Key) -> Made | None:
        with self._lock:
            if self._closed:
                raise ClosedError("the backend is closed; load the bundle again")
            for place in range(len(self._idle) - 1, -1, -1):
                if self._idle[place][0] == key:
                    return self._idle.pop(place)[1]
        return None

    def _let_go_of_idle(self) -> list[Made]:
        with self._lock:
            idle, self._idle = self._idle, []
        return [made for _, made in idle]


@dataclass
class _Shared:
    made: Any
    users: int = field(default=0)


class Sharing(Generic[Key, Made]):
    """Things that are made once and used by many, and closed when nobody uses them any more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shared: dict[Key, _Shared] = {}

    def use(self, key: Key, make: Callable[[], Made], users: ExitStack) -> Made:
        """The one of this key, made if there is none, until the stack is closed. Calls take turns."""
        with self._lock:
            if key not in self._shared:
                self._shared[key] = _Shared(make())
            shared = self._shared[key]
            shared.users += 1
        users.callback(self._let_go, key)
        made: Made = shared.made
        return made

    def _let_go(self, key: Key) -> None:
        with self._lock:
            shared = self._shared[key]
            shared.users -= 1
            if not shared.users:
                del self._shared[key]
                shared.made.close()


def close_all(unwanted: Iterable[Any]) -> None:
    """Where one cannot be closed, the others still are."""
    for made in unwanted:
        try:
            made.close()
        except CnnrnnError as error:
            _log.warning("%s", error)
