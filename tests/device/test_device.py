"""The device protocol through the real cuda.core and the real pycuda, over the stand-in driver."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from cnnrnn.core.errors import ClosedError, CnnrnnError, DeviceError, DeviceMemoryError
from cnnrnn.runtime.device import Capture, Condition, Device, Memory, Stream, open_device
from tests.device.kernels import SOURCE, add_kernel, below_kernel
from tests.driver import inside
from tests.driver.inside import Span
from tests.driver.rig import Rig


def refused(error: type[CnnrnnError], call: Any, *arguments: Any, **options: Any) -> str:
    """The message of the error that a call has to raise."""
    with pytest.raises(error) as caught:
        call(*arguments, **options)
    assert caught.type is error
    return str(caught.value)


@contextmanager
def opened(provider: str = "cuda-core") -> Iterator[tuple[Device, Stream]]:
    """A device that is current, and a stream of it."""
    with open_device(provider=provider) as device, device.current(), device.stream() as stream:
        yield device, stream


def on_host(device: Device, stream: Stream, memory: Memory) -> list[int]:
    """The int32 numbers of device memory."""
    with device.pinned(memory.size_bytes) as host:
        stream.copy(host, memory)
        stream.synchronize()
        return [int(number) for number in host.array(np.int32, (memory.size_bytes // 4,))]


def describes(provider: str) -> list[Any]:
    with open_device(provider=provider) as device, device.current():
        info = device.info
        return [info.name, info.compute_capability, info.driver_cuda, info.captures, info.loops]


def test_what_a_device_says_of_itself(rig: Rig) -> None:
    assert rig.run(describes, "cuda-core").value == ["stand-in 0", [8, 6], [13, 0], True, True]
    older = {version: {"STANDIN_DRIVER_VERSION": version} for version in ("12030", "12020")}
    assert rig.run(describes, "cuda-core", **older["12030"]).value[2:] == [[12, 3], True, False]
    assert rig.run(describes, "cuda-core", **older["12020"]).value[2:] == [[12, 2], False, False]


def test_what_pycuda_says_of_it(pycuda: str, rig: Rig) -> None:
    assert rig.run(describes, pycuda).value == ["stand-in 0", [8, 6], [13, 0], False, False]


def copies(provider: str) -> list[Any]:
    with (
        opened(provider) as (device, stream),
        device.allocate(16, stream, what="one") as one,
        device.allocate(16, stream) as two,
        device.pinned(16) as host,
    ):
        host.array(np.int32, (4,))[:] = [1, 2, 3, 4]
        stream.copy(one, host)
        before = stream.counters.snapshot()
        stream.copy(two, one)
        stream.launch(add_kernel(device), two, np.int32(4), np.int32(10), block=4)
        found = on_host(device, stream, two)
        stream.fill(one, 0)
        return [found, on_host(device, stream, one), stream.counters.since(before).to_dict()]


def test_copies_and_kernels_are_counted(provider: str, rig: Rig) -> None:
    outcome = rig.run(copies, provider)
    numbers, zeros, counters = outcome.value
    assert (numbers, zeros) == ([11, 12, 13, 14], [0] * 4)
    for name in ("device_to_device", "device_to_host", "device_to_host_bytes"):
        assert counters[name] == outcome.counts[name]
    assert counters == {
        "host_to_device": 0, "host_to_device_bytes": 0, "device_to_host": 2, "device_to_host_bytes": 32,
        "device_to_device": 1, "device_to_device_bytes": 16, "synchronizes": 2, "launches": 1,
    }  # fmt: skip
    assert outcome.counts["pageable"] == 0


def two_streams(provider: str, ordered: bool) -> list[int]:
    with (
        open_device(provider=provider) as device,
        device.current(),
        device.stream() as one,
        device.stream() as other,
    ):
        memory = device.allocate(8, one)
        one.fill(memory, 1)
        with device.event() as event:
            one.record(event)
            if ordered:
                other.wait(event)
            other.launch(add_kernel(device), memory, np.int32(2), np.int32(1))
            found = on_host(device, other, memory)
            reached = event.reached
        if ordered:
            assert reached
        one.synchronize()
        memory.close()
        return found


def test_an_event_orders_two_streams(provider: str, rig: Rig) -> None:
    assert rig.run(two_streams, provider, True).value == [0x01010102] * 2
    missing = rig.try_out(two_streams, provider, False)
    assert missing.reports[0].startswith("race: 'add' reads memory 1 of 8 bytes, which 'fill' writes")
    assert missing.value != [0x01010102] * 2


def replays() -> list[Any]:
    with opened() as (device, stream), device.allocate(4, stream) as memory, device.pinned(4) as host:
        kernel = add_kernel(device)
        stream.fill(memory, 0)

        def work(capture: Capture) -> None:
            capture.launch(kernel, memory, np.int32(1), np.int32(3))
            capture.copy(host, memory)

        with stream.capture(work) as graph:
            captured = inside.lines(inside.Lines.RUNS)
            held = refused(DeviceError, memory.close)
            before = stream.counters.snapshot()
            graph.launch(stream)
            graph.launch(stream)
            stream.synchronize()
            counted = stream.counters.since(before)
        number = int(host.array(np.int32, (1,))[0])
        return [captured, held, number, counted.device_to_host_bytes, counted.launches]


def test_a_graph_runs_as_often_as_it_is_launched(rig: Rig) -> None:
    captured, held, number, copied_bytes, launches = rig.run(replays).value
    assert captured == []
    assert held == "4 bytes of device memory: a graph uses it; close the graph first"
    assert (number, copied_bytes, launches) == (6, 8, 4)


def loops(limit: int) -> list[Any]:
    with opened() as (device, stream), device.allocate(4, stream) as memory:
        add, below = add_kernel(device), below_kernel(device)

        def body(capture: Capture, condition: Condition) -> None:
            capture.launch(add, memory, np.int32(1), np.int32(1))
            capture.launch(below, condition, memory, np.int32(limit))

        with stream.capture(lambda capture: capture.repeat(body)) as graph:
            found = []
            for _ in range(2):
                stream.fill(memory, 0)
                graph.launch(stream)
                found += on_host(device, stream, memory)
            return [found, graph.turn_counters.launches, graph.counters.launches]


@pytest.mark.parametrize("limit", [1, 20])
def test_a_loop_ends_without_the_host(limit: int, rig: Rig) -> None:
    outcome = rig.run(loops, limit)
    assert outcome.value == [[limit] * 2, 2, 0]
    assert outcome.counts["kernels"] == 4 * limit
    assert outcome.counts["graph_launches"] == 2


def loops_on_an_old_driver() -> str:
    with opened() as (_, stream):
        return refused(DeviceError, stream.capture, lambda capture: capture.repeat(lambda *_: None))


def test_an_old_driver_has_no_loops(rig: Rig) -> None:
    outcome = rig.run(loops_on_an_old_driver, STANDIN_DRIVER_VERSION="12030")
    assert "a loop in a graph needs a driver of CUDA 12.4 or newer" in outcome.value
    outcome = rig.run(loops_on_an_old_driver, STANDIN_DRIVER_VERSION="12020")
    assert "a capture needs a driver of CUDA 12.3 or newer, and this one is of 12.2" in outcome.value


def engine_in_a_graph() -> list[int]:
    """An engine enqueues by the capture's handle, as TensorRT does."""
    with opened() as (device, stream), device.allocate(4, stream) as memory:
        span = Span(memory.address, 4)

        def engine() -> None:
            inside.view(span, np.int32)[:] += 5

        def work(capture: Capture) -> None:
            assert inside.enqueue(capture.handle, engine, reads=[span], writes=[span]) == 0
            capture.uses(memory)

        stream.fill(memory, 0)
        with stream.capture(work) as graph:
            graph.launch(stream)
            refused(DeviceError, memory.close)
            return on_host(device, stream, memory)


def test_an_engine_is_captured_by_its_handle(rig: Rig) -> None:
    assert rig.run(engine_in_a_graph).value == [5]


def wrong_arguments(provider: str) -> list[str]:
    with opened(provider) as (device, stream), device.allocate(4, stream) as memory:
        add = add_kernel(device)
        return [
            refused(DeviceError, stream.launch, add, memory, np.int64(1), np.int32(1)),
            refused(DeviceError, stream.launch, add, memory, np.int32(1)),
            refused(DeviceError, stream.launch, add, memory, 1, 1),
            refused(DeviceError, stream.launch, "add"),
            refused(DeviceError, device.kernel, "extern nonsense", "add"),
            refused(DeviceError, device.kernel, SOURCE, "subtract"),
        ]


def test_a_kernel_takes_only_its_own_arguments(provider: str, rig: Rig) -> None:
    size, number, kind, none, source, name = rig.run(wrong_arguments, provider).value
    assert size == "kernel add, argument 1: 8 bytes were given, and it takes 4"
    assert number == "kernel add: 2 arguments were given, it takes 3"
    assert kind.startswith("kernel add, argument 1: a int has no size of its own; give a NumPy scalar")
    assert none == "'add' is no kernel of this provider's"
    assert source.startswith("compiling kernel add for sm_86 failed: ")
    assert "NVRTC_ERROR_COMPILATION" in source
    assert "error: " in source  # the compiler's own
    assert name == "compiling kernel subtract for sm_86 failed: CUDA_ERROR_NOT_FOUND"


def runs_out(provider: str) -> list[Any]:
    with opened(provider) as (device, stream):
        with device.allocate(600, stream), pytest.raises(DeviceMemoryError) as caught:
            device.allocate(500, stream, what="batch 4, beams 5: state_hidden")
        stream.synchronize()
        device.allocate(500, stream).close()
        error = caught.value
        return [str(error), error.wanted_bytes, error.free_bytes, error.what]


def test_memory_that_runs_out_is_told_in_numbers(provider: str, rig: Rig) -> None:
    message, wanted, free, what = rig.run(runs_out, provider, STANDIN_MEMORY_BYTES="1000").value
    assert message == (
        "out of memory: 500 bytes of device memory (batch 4, beams 5: state_hidden) are wanted, 400 of "
        "1000 are free on stand-in 0. Take a smaller batch or beam, or close what else uses the GPU"
    )
    assert (wanted, free, what) == (500, 400, "batch 4, beams 5: state_hidden")


def used_wrongly(provider: str) -> list[str]:
    device = open_device(provider=provider)
    with device.current(), device.stream() as stream:
        memory, host = device.allocate(4, stream), device.pinned(4)
        said = [
            refused(DeviceError, stream.copy, host, device.pinned(8)),
            refused(DeviceError, stream.fill, host, 0),
            refused(DeviceError, memory.array, np.int32, (1,)),  # type: ignore[attr-defined]
            refused(DeviceError, host.array, np.int32, (2,)),
            refused(DeviceError, device.allocate, 0, stream),
        ]
        memory.close()
        memory.close()
        host.close()
        said.append(refused(ClosedError, stream.fill, memory, 0))
    said.append(refused(ClosedError, stream.synchronize))
    device.close()
    return [*said, refused(ClosedError, device.stream)]


def test_wrong_uses_are_refused_before_the_driver(provider: str, rig: Rig) -> None:
    outcome = rig.try_out(used_wrongly, provider)
    assert outcome.error is None, outcome.stderr
    assert outcome.reports == []
    assert outcome.value == [
        "copying 8 bytes of pinned memory into 4 bytes of pinned memory: the sizes differ",
        "4 bytes of pinned memory: a stream fills device memory; set the array of pinned memory instead",
        "4 bytes of device memory: 4 bytes on the host were asked for, and it is 4 bytes of device memory",
        "4 bytes of pinned memory: 8 bytes on the host were asked for, and it is 4 bytes of pinned memory",
        "0 bytes of device memory: at least 1 has to be asked for",
        "4 bytes of device memory: it was closed",
        "the stream was closed",
        "the device was closed",
    ]
