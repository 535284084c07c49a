"""A GPU through ``cuda.core``: its context, and what is made in it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cnnrnn.core.errors import ClosedError, DeviceError
from cnnrnn.core.extras import require
from cnnrnn.runtime.device.base import ASKING_OWNER, ORDERING, BaseDevice, checked_ordinal, no_device
from cnnrnn.runtime.device.cuda_core.kernel import CoreKernel, compile_source, load_kernel
from cnnrnn.runtime.device.cuda_core.queue import CoreMemory
from cnnrnn.runtime.device.cuda_core.stream import CoreEvent, CoreStream
from cnnrnn.runtime.device.failures import Failures, code_of
from cnnrnn.runtime.device.memory import MemoryPlace
from cnnrnn.runtime.device.protocol import DeviceInfo, Stream

_EXTRA = "cuda13"
# What the driver's CUDA has to be: cuda.core's graph builder asks for functions of 12.3; loops in a graph,
# and the sizes of a kernel's arguments, came with 12.4.
_CAPTURES, _LOOPS, _TELLS_SIZES = (12, 3), (12, 4), (12, 4)


class CudaCoreDevice(BaseDevice):
    """See `cnnrnn.runtime.device.protocol.Device`, whose methods these are.

    Args:
        ordinal: the device's number.

    Raises:
        OptionsError, NoDeviceError, MissingDependencyError: see `cnnrnn.runtime.device.open_device`.
    """

    def __init__(self, ordinal: int = 0) -> None:
        checked_ordinal(ordinal)
        self._core = require("cuda.core", _EXTRA)
        self._driver = require("cuda.bindings.driver", _EXTRA)
        self._ordinal, self._started = ordinal, threading.local()
        super().__init__(Failures(), self._found(ordinal))
        before = self._call("asking for the current context", self._driver.cuCtxGetCurrent)
        try:
            with self._failures.told("starting the GPU"):
                self._raw.set_current()
                self._context = self._raw.context.handle
                self._info = self._asked()
        finally:
            self._driver.cuCtxSetCurrent(before)

    @property
    def info(self) -> DeviceInfo:
        return self._info

    @contextmanager
    def current(self) -> Iterator[None]:
        if self._raw is None:
            raise ClosedError("the device was closed")
        # Also where the context is lost: what was made in it is still to be given back.
        self._call(
            "making the GPU's context current", self._driver.cuCtxPushCurrent, self._context, releases=True
        )
        try:
            self._start_thread()
            yield
        finally:
            self._driver.cuCtxPopCurrent()

    def _start_thread(self) -> None:
        """Every thread has devices of ``cuda.core`` of its own, each to be made current once."""
        if getattr(self._started, "done", False) or self._failures.lost:
            return
        with self._failures.told("starting the GPU in a thread"):
            self._core.Device(self._ordinal).set_current()
        self._started.done = True

    def free_bytes(self) -> int:
        asked, cu = "asking for free device memory", self._driver
        free, _ = self._call(asked, cu.cuMemGetInfo)
        with self._failures.told(asked):
            has_pools = bool(self._open.properties.memory_pools_supported)
        if not has_pools:
            return int(free)
        # What was given back stays in the pool that cuda.core allocates from, and is taken again from there.
        pool = self._call(asked, cu.cuDeviceGetMemPool, cu.CUdevice(self._ordinal))
        kinds = cu.CUmemPool_attribute
        reserved, used = (
            int(self._call(asked, cu.cuMemPoolGetAttribute, pool, kind))
            for kind in (
                kinds.CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT,
                kinds.CU_MEMPOOL_ATTR_USED_MEM_CURRENT,
            )
        )
        return int(free) + reserved - used

    def owner(self, address: int) -> int | None:
        cu = self._driver
        ordinal = cu.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
        try:
            return int(self._call(ASKING_OWNER, cu.cuPointerGetAttribute, ordinal, address))
        except DeviceError as error:
            if code_of(error) != "CUDA_ERROR_INVALID_VALUE":
                raise
            return None

    def order(self, first: int, then: int) -> None:
        cu = self._driver
        event = self._call(ORDERING, cu.cuEventCreate, int(cu.CUevent_flags.CU_EVENT_DISABLE_TIMING))
        try:
            self._call(ORDERING, cu.cuEventRecord, event, first)
            self._call(ORDERING, cu.cuStreamWaitEvent, then, event, 0)
        finally:
            self._call(ORDERING, cu.cuEventDestroy, event, releases=True)

    def stream(self) -> CoreStream:
        with self._failures.told("making a stream"):
            raw = self._open.create_stream()
        return CoreStream(self._core, self._failures, raw, self._info)

    def event(self, *, timing: bool = False) -> CoreEvent:
        with self._failures.told("making an event"):
            return CoreEvent(
                self._failures, self._open.create_event(self._core.EventOptions(timing_enabled=timing))
            )

    def allocate(self, size_bytes: int, stream: Stream, *, what: str = "") -> CoreMemory:
        if not isinstance(stream, CoreStream):
            raise DeviceError(f"{stream!r} is no stream of this provider's")
        place = MemoryPlace(size_bytes, what, pinned=False)
        with self._taking(place):
            raw = self._open.allocate(size_bytes, stream=stream.raw)
        return CoreMemory(self._failures, place.at(int(raw.handle)), raw, raw.close)

    def pinned(self, size_bytes: int, *, what: str = "") -> CoreMemory:
        # Not by cuda.core's own resource: that waits for the default stream before it gives memory back, and
        # keeps the memory if that fails.
        place = MemoryPlace(size_bytes, what, pinned=True)
        with self._taking(place):
            address = int(self._call("taking pinned memory", self._driver.cuMemAllocHost, size_bytes))
        raw = self._core.Buffer.from_handle(address, size_bytes)

        def give_back() -> None:
            raw.close()
            self._call("giving back pinned memory", self._driver.cuMemFreeHost, address, releases=True)

        return CoreMemory(self._failures, place.at(address), raw, give_back)

    def _compile(self, source: str, arch: str) -> Any:
        return compile_source(self._core, source, arch)

    def _load(self, code: Any, name: str) -> CoreKernel:
        return load_kernel(code, name, driver_tells_sizes=self._info.driver_cuda >= _TELLS_SIZES)

    def _found(self, ordinal: int) -> Any:
        try:
            return self._core.Device(ordinal)
        except Exception as error:  # no driver, no GPU, or a driver that does not start: each its own kind
            raise no_device(ordinal, code_of(error) or str(error)) from error

    def _asked(self) -> DeviceInfo:
        version = int(self._call("asking for the driver's version", self._driver.cuDriverGetVersion))
        cuda = version // 1000, version % 1000 // 10
        _, total = self._call("asking for device memory", self._driver.cuMemGetInfo)
        major, minor = self._raw.compute_capability
        return DeviceInfo(
            ordinal=self._ordinal,
            name=str(self._raw.name),
            compute_capability=(int(major), int(minor)),
            driver_cuda=cuda,
            captures=cuda >= _CAPTURES,
            loops=cuda >= _LOOPS,
            memory_bytes=int(total),
        )

    def _call(self, what: str, function: Any, *arguments: Any, releases: bool = False) -> Any:
        """A function of ``cuda.bindings``: what it gave beside its code, which has to be that of success."""
        with self._failures.releasing(what) if releases else self._failures.told(what):
            code, *made = function(*arguments)
            if int(code):
                raise RuntimeError(code.name)
        return made[0] if len(made) == 1 else made
