"""A GPU through pycuda: its context, and what is made in it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from cnnrnn.core.errors import DeviceError, MissingDependencyError
from cnnrnn.core.extras import require
from cnnrnn.runtime.device.base import ASKING_OWNER, ORDERING, BaseDevice, checked_ordinal, no_device
from cnnrnn.runtime.device.failures import Failures, code_of
from cnnrnn.runtime.device.memory import MemoryPlace
from cnnrnn.runtime.device.protocol import DeviceInfo, Stream
from cnnrnn.runtime.device.pycuda.compiler import compile_source
from cnnrnn.runtime.device.pycuda.context import PrimaryContext
from cnnrnn.runtime.device.pycuda.libcuda import Libcuda
from cnnrnn.runtime.device.pycuda.stream import (
    Function,
    PycudaEvent,
    PycudaKernel,
    PycudaMemory,
    PycudaStream,
)

_EXTRA = "pycuda"
_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING, which pycuda has no name for


class PycudaDevice(BaseDevice):
    """See `cnnrnn.runtime.device.protocol.Device`, whose methods these are.

    Without graphs: pycuda has no capture. Memory is given back at once and not in a stream's order, after
    waiting for the streams that it was allocated for and used on.

    Args:
        ordinal: the device's number.

    Raises:
        OptionsError, NoDeviceError, MissingDependencyError: see `cnnrnn.runtime.device.open_device`.
    """

    def __init__(self, ordinal: int = 0) -> None:
        checked_ordinal(ordinal)
        self._driver, self._ordinal = _imported(ordinal), ordinal
        self._libcuda = Libcuda()
        self._modules: list[Any] = []
        super().__init__(Failures(self._code_of), self._found(ordinal))
        self._context = PrimaryContext(self._driver, self._libcuda, self._failures, self._raw, ordinal)
        with self._failures.told("starting the GPU"):
            self._info = self._asked()

    @property
    def info(self) -> DeviceInfo:
        return self._info

    def current(self) -> AbstractContextManager[None]:
        self._open  # noqa: B018 - raises if closed
        return self._context.current()

    def free_bytes(self) -> int:
        with self._failures.told("asking for free device memory"):
            return int(self._driver.mem_get_info()[0])

    def owner(self, address: int) -> int | None:
        self._open  # noqa: B018 - raises if closed
        with self._failures.told(ASKING_OWNER):
            return self._libcuda.owner(address)

    def order(self, first: int, then: int) -> None:
        self._open  # noqa: B018 - raises if closed
        with self._failures.told(ORDERING):
            self._libcuda.order(first, then)

    def stream(self) -> PycudaStream:
        self._open  # noqa: B018 - raises if closed
        with self._failures.told("making a stream"):
            raw = self._driver.Stream(_NON_BLOCKING)
        return PycudaStream(self._driver, self._context, self._failures, raw)

    def event(self, *, timing: bool = False) -> PycudaEvent:
        self._open  # noqa: B018 - raises if closed
        flags = self._driver.event_flags
        with self._failures.told("making an event"):
            raw = self._driver.Event(flags.DEFAULT if timing else flags.DISABLE_TIMING)
        return PycudaEvent(self._context, self._failures, raw)

    def allocate(self, size_bytes: int, stream: Stream, *, what: str = "") -> PycudaMemory:
        self._open  # noqa: B018 - raises if closed
        if not isinstance(stream, PycudaStream):
            raise DeviceError(f"{stream!r} is no stream of this provider's")
        place = MemoryPlace(size_bytes, what, pinned=False)
        with self._taking(place):
            raw = self._driver.mem_alloc(size_bytes)
        memory = self._memory(place.at(int(raw)), raw, raw)
        memory.users.add(stream)  # an engine may use it by the stream's handle alone
        return memory

    def pinned(self, size_bytes: int, *, what: str = "") -> PycudaMemory:
        self._open  # noqa: B018 - raises if closed
        place = MemoryPlace(size_bytes, what, pinned=True)
        with self._taking(place):
            array = self._driver.pagelocked_empty(size_bytes, "uint8")
        return self._memory(place.at(int(array.ctypes.data)), array, array.base)

    def close(self) -> None:
        """Let go of the device and unload its kernels; what was made of it has to be closed before."""
        held = [kernel.raw.let_go() for kernel in self._kernels.values()] + self._modules
        self._modules = []
        super().close()
        if held:
            with self._context.releasing("unloading kernels", held):
                held.clear()

    def _memory(self, place: MemoryPlace, raw: Any, allocation: Any) -> PycudaMemory:
        def give_back() -> None:
            with self._context.releasing(f"giving back {place}", [allocation]):
                allocation.free()

        return PycudaMemory(self._failures, place, raw, give_back)

    def _compile(self, source: str, arch: str) -> tuple[bytes, Any]:
        """The object code, for its kernels' arguments, and its module."""
        code = compile_source(source, arch, self._info.driver_cuda)
        module = self._driver.module_from_buffer(code)
        self._modules.append(module)
        return code, module

    def _load(self, code: Any, name: str) -> PycudaKernel:
        cubin, module = code
        function = Function(module.get_function(name))
        return PycudaKernel(function, name, self._libcuda.argument_sizes(cubin, name))

    def _code_of(self, error: BaseException) -> str:
        return code_of(error) or self._libcuda.code_of(error)

    def _found(self, ordinal: int) -> Any:
        try:
            self._driver.init()
            return self._driver.Device(ordinal)
        except self._driver.Error as error:
            raise no_device(ordinal, self._code_of(error) or str(error)) from error

    def _asked(self) -> DeviceInfo:
        version = int(self._driver.get_driver_version())
        major, minor = self._raw.compute_capability()
        return DeviceInfo(
            ordinal=self._ordinal,
            name=str(self._raw.name()),
            compute_capability=(int(major), int(minor)),
            driver_cuda=(version // 1000, version % 1000 // 10),
            captures=False,
            loops=False,
            memory_bytes=int(self._raw.total_memory()),
        )


def _imported(ordinal: int) -> Any:
    """The module ``pycuda.driver``, which is linked with the driver."""
    try:
        return require("pycuda.driver", _EXTRA)
    except MissingDependencyError as error:
        if "libcuda" not in str(error):
            raise
        raise no_device(ordinal, f"there is no driver ({error.__cause__})") from error
