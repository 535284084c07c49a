"""What is closed at the end of a ``with`` block."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING

from cnnrnn.core.errors import CnnrnnError

if TYPE_CHECKING:
    from typing_extensions import Self

_log = logging.getLogger(__name__)


class Closing(ABC):
    """See `cnnrnn.runtime.device.protocol.Closes`.

    Where an exception ends a ``with`` block, what closing raises on top of it is only logged.
    """

    @abstractmethod
    def close(self) -> None:
        """Give back what is held; once, however often it is called."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except CnnrnnError as another:
            if error is None:
                raise
            _log.warning("%s", another)
