"""What went wrong in a provider's package, in the words of this one."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module

from cnnrnn.core.errors import CnnrnnError, DeviceError

_log = logging.getLogger(__name__)

_CODE = re.compile(r"\b(CUDA_ERROR_\w+|NVRTC_ERROR_\w+)")

# After one of these every call on the context fails, in all of the process.
_LOST = frozenset(
    f"CUDA_ERROR_{name}"
    for name in (
        "ASSERT",
        "CONTEXT_IS_DESTROYED",
        "ECC_UNCORRECTABLE",
        "EXTERNAL_DEVICE",
        "HARDWARE_STACK_ERROR",
        "ILLEGAL_ADDRESS",
        "ILLEGAL_INSTRUCTION",
        "INVALID_ADDRESS_SPACE",
        "INVALID_PC",
        "LAUNCH_FAILED",
        "LAUNCH_TIMEOUT",
        "MISALIGNED_ADDRESS",
        "NVLINK_UNCORRECTABLE",
    )
)
_ADVICE = {
    "CUDA_ERROR_NOT_INITIALIZED": "CUDA cannot be used in a process that was forked after it started; start "
    "workers with multiprocessing's 'spawn'",
    "CUDA_ERROR_INVALID_CONTEXT": "No context is current; call it within `device.current()`",
    "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED": "While a stream is captured, do not wait, allocate or free",
    "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED": "While a stream is captured, do not wait, allocate or free",
}
_LOST_ADVICE = (
    "The GPU's context of this process is lost: close what uses it and start a new process; "
    "compute-sanitizer finds the kernel"
)


def code_of(error: BaseException) -> str:
    """The driver's name of an error, or an empty text for an exception whose message has none."""
    said = str(error)
    if said.isdigit():  # cuda.core's own where it asks for the time between events
        with suppress(ValueError, ImportError):
            return str(import_module("cuda.bindings.driver").CUresult(int(said)).name)
    match = _CODE.search(said)
    return match.group(1) if match else ""


class Failures:
    """The errors of one device, and whether its context was lost to one of them.

    Args:
        code: the driver's name of an error of the provider's package, or an empty text.

    Attributes:
        lost: the code of that error, or an empty text.
    """

    def __init__(self, code: Callable[[BaseException], str] = code_of) -> None:
        self.code, self.lost = code, ""

    @contextmanager
    def told(self, what: str) -> Iterator[None]:
        """Turn an exception of the provider's package into a `DeviceError` that says what was tried.

        Raises:
            DeviceError: the driver refused, or the context was lost before.
        """
        if self.lost:
            raise DeviceError(f"{what}: not tried after {self.lost}. {_LOST_ADVICE}")
        with self.releasing(what):
            yield

    @contextmanager
    def releasing(self, what: str) -> Iterator[None]:
        """As `told`, for what gives something back: in a lost context that is tried too, and cannot fail.

        Raises:
            DeviceError: the driver refused.
        """
        lost_before = bool(self.lost)
        try:
            yield
        except CnnrnnError:
            raise
        except Exception as error:  # what the providers raise has no common base but Exception
            # Not kept in a variable: its traceback would keep the frames, and those what was to be freed.
            if not lost_before:
                raise self._error(what, error) from error
            _log.debug("%s", self._error(what, error))

    def _error(self, what: str, error: Exception) -> DeviceError:
        code = self.code(error)
        if code in _LOST:
            self.lost = code
        advice = _LOST_ADVICE if code in _LOST else _ADVICE.get(code, "")
        # A compiler's code says less than its messages.
        said = code if code.startswith("CUDA_") else f"{type(error).__name__}: {error}"
        return DeviceError(f"{what} failed: {said}" + (f". {advice}" if advice else ""))
