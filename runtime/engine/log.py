"""What TensorRT says while it works, collected for the build that it is about.

TensorRT keeps one logger a process, the first that it is given, and gives it everything. So there is one
here for each library, builds take turns, and each collects its own part.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

_log = logging.getLogger(__name__)
_turn = threading.RLock()
_loggers: dict[str, Any] = {}

# What TensorRT reports of CUDA wherever it looks for a driver and there is none: no part of an answer.
_NOISE = ("catchCudaError", "differs from one already registered")
_ERRORS = ("ERROR", "INTERNAL_ERROR")


@dataclass
class Messages:
    """The messages of one build, in order, by severity (``"VERBOSE"`` to ``"INTERNAL_ERROR"``)."""

    lines: list[tuple[str, str]] = field(default_factory=list)

    def errors(self) -> list[str]:
        """Errors, without those that only say that there is no driver."""
        return [text for level, text in self.lines if level in _ERRORS and not _is_noise(text)]

    def warnings(self) -> list[str]:
        """Warnings that are about the graph or the options, each once."""
        found = [text for level, text in self.lines if level == "WARNING" and not _is_noise(text)]
        return list(dict.fromkeys(found))

    def starting(self, text: str) -> str | None:
        """The last message that begins with a text."""
        return next((line for _, line in reversed(self.lines) if line.startswith(text)), None)


@contextlib.contextmanager
def listening(module: ModuleType) -> Iterator[tuple[Any, Messages]]:
    """A turn to build: the library's logger, and what it collects until the block ends."""
    with _turn:
        logger = _loggers.get(module.__name__)
        if logger is None:
            logger = _loggers[module.__name__] = _make_logger(module)
        messages = logger.messages = Messages()
        try:
            yield logger, messages
        finally:
            logger.messages = None


def _make_logger(module: ModuleType) -> Any:
    class Logger(module.ILogger):  # type: ignore[name-defined]
        def __init__(self) -> None:
            module.ILogger.__init__(self)
            self.messages: Messages | None = None

        def log(self, severity: Any, text: str) -> None:
            level = str(severity).rpartition(".")[2]
            if self.messages is not None:
                self.messages.lines.append((level, text))
            # Its verbose messages are thousands, its others a few.
            _log.log(logging.DEBUG if level == "VERBOSE" else logging.INFO, "TensorRT %s: %s", level, text)

    return Logger()


def _is_noise(text: str) -> bool:
    return any(part in text for part in _NOISE)
