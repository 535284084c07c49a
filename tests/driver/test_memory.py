"""Device memory is closed to the host, poisoned, guarded, and counted."""

from __future__ import annotations

import ctypes
import signal
from typing import Any

import pytest

from tests.driver import inside
from tests.driver.calls import code, memory, ok, on_host, pinned, start, stream, touch
from tests.driver.inside import Span
from tests.driver.rig import Rig

FRESH, SIGSEGV = 0xCD, -signal.SIGSEGV


def read_on_the_host() -> int:
    start()
    return ctypes.c_ubyte.from_address(memory(100).address + 40).value


def write_on_the_host_while_work_is_queued() -> None:
    start()
    span = memory(8)
    touch(stream(), writes=[span], name="engine")
    ctypes.memset(span.address, 0, 8)


@pytest.mark.parametrize("function", [read_on_the_host, write_on_the_host_while_work_is_queued])
def test_the_host_cannot_touch_it(function: Any, rig: Rig) -> None:
    outcome = rig.try_out(function)
    assert outcome.returncode == SIGSEGV
    assert "the host touched device memory 1 of" in outcome.stderr


def fresh_memory_copied() -> list[int]:
    start()
    return on_host(memory(5), stream())


def test_fresh_memory_is_poisoned(rig: Rig) -> None:
    outcome = rig.try_out(fresh_memory_copied)
    assert outcome.value == [FRESH] * 5
    assert outcome.leaks == {"streams": 1, "device_memory": 1}


def engine_touches_what_it_does_not_declare() -> None:
    cu = start()
    on, declared, other = stream(), memory(8), memory(8)
    inside.enqueue(int(on), lambda: None, reads=[declared], name="good")
    inside.enqueue(int(on), lambda: ctypes.memset(other.address, 0, 8), writes=[declared], name="bad")
    cu.cuStreamSynchronize(on)


def engine_writes_what_it_only_reads() -> None:
    cu = start()
    on, span = stream(), memory(8)
    inside.enqueue(int(on), lambda: ctypes.memset(span.address, 0, 8), reads=[span], name="bad")
    cu.cuStreamSynchronize(on)


def engine_runs_far_over_the_end() -> None:
    cu = start()
    on, span = stream(), memory(8)
    inside.enqueue(int(on), lambda: ctypes.memset(span.address, 0, 300), writes=[span], name="bad")
    cu.cuStreamSynchronize(on)


@pytest.mark.parametrize(
    "function",
    [
        engine_touches_what_it_does_not_declare,
        engine_writes_what_it_only_reads,
        engine_runs_far_over_the_end,
    ],
)
def test_an_engine_is_held_to_what_it_declares(function: Any, rig: Rig) -> None:
    outcome = rig.try_out(function)
    assert outcome.returncode == SIGSEGV
    assert "'bad', without having declared it, touched device memory" in outcome.stderr


@pytest.mark.parametrize("offset", [-1, 8])
def test_the_bytes_around_it_are_guarded(offset: int, rig: Rig) -> None:
    outcome = rig.try_out(writes_beside, offset)
    assert outcome.reports == ["'bad' wrote around memory 1 of 8 bytes"]


def writes_beside(offset: int) -> None:
    cu = start()
    on, span = stream(), memory(8)
    inside.enqueue(int(on), lambda: ctypes.memset(span.address + offset, 0, 1), writes=[span], name="bad")
    ok(cu.cuStreamSynchronize(on))


def used_after_it_was_freed() -> list[str]:
    cu = start()
    on, span = stream(), memory(8)
    ok(cu.cuMemFree(span.address))
    touch(on, reads=[span], name="late")
    return [code(cu.cuStreamSynchronize(on)), code(cu.cuMemAlloc(4)), code(cu.cuStreamQuery(on))]


def test_use_after_free_breaks_the_context(rig: Rig) -> None:
    outcome = rig.try_out(used_after_it_was_freed)
    assert outcome.value == ["CUDA_ERROR_ILLEGAL_ADDRESS"] * 3
    assert outcome.reports == ["'late' reads 8 bytes at offset 0 of memory 1 of 8 bytes, which was freed"]


def read_on_the_host_after_it_was_freed() -> None:
    cu = start()
    span = pinned(8)
    ok(cu.cuMemFreeHost(span.address))
    ctypes.string_at(span.address, 1)


def test_freed_pinned_memory_is_closed(rig: Rig) -> None:
    outcome = rig.try_out(read_on_the_host_after_it_was_freed)
    assert outcome.returncode == SIGSEGV
    assert "the host touched freed pinned memory 1 of 8 bytes at offset 0" in outcome.stderr


def pinned_freed_early(waits: bool) -> None:
    cu = start()
    on, device, host = stream(), memory(8), pinned(8)
    ok(cu.cuMemcpyAsync(host.address, device.address, 8, on))
    if waits:
        ok(cu.cuStreamSynchronize(on))
    ok(cu.cuMemFreeHost(host.address))


def test_pinned_memory_is_freed_after_a_wait(rig: Rig) -> None:
    assert rig.try_out(pinned_freed_early, True).reports == []
    assert rig.try_out(pinned_freed_early, False).reports == [
        "pinned memory 2 of 8 bytes was freed before the host had waited for 'copy device to host'"
    ]


def freed_twice(asynchronously: bool) -> list[str]:
    cu = start()
    on, span = stream(), memory(8)
    if asynchronously:
        return [code(cu.cuMemFreeAsync(span.address, on)) for _ in range(2)]
    return [code(cu.cuMemFree(span.address)) for _ in range(2)]


@pytest.mark.parametrize("asynchronously", [False, True])
def test_a_double_free_is_refused(asynchronously: bool, rig: Rig) -> None:
    outcome = rig.try_out(freed_twice, asynchronously)
    assert outcome.value == ["CUDA_SUCCESS", "CUDA_ERROR_INVALID_VALUE"]
    assert outcome.reports == ["memory 1 of 8 bytes was freed twice"]


def frees_what_is_none() -> str:
    cu = start()
    return code(cu.cuMemFree(memory(8).address + 1))


def touches_what_is_none() -> str:
    cu = start()
    on = stream()
    touch(on, reads=[Span(12345, 4)], name="engine")
    return code(cu.cuStreamSynchronize(on))


def copies_over_the_end() -> str:
    cu = start()
    on, small, large = stream(), memory(8), memory(16)
    ok(cu.cuMemcpyDtoDAsync(small.address, large.address, 16, on))
    return code(cu.cuStreamSynchronize(on))


@pytest.mark.parametrize(
    ("function", "error", "said"),
    [
        (frees_what_is_none, "CUDA_ERROR_INVALID_VALUE", "no memory starts there"),
        (touches_what_is_none, "CUDA_ERROR_ILLEGAL_ADDRESS", "which is no memory of the device's"),
        (copies_over_the_end, "CUDA_ERROR_ILLEGAL_ADDRESS", "of memory 1 of 8 bytes, which ends before that"),
    ],
)
def test_a_wrong_address(function: Any, error: str, said: str, rig: Rig) -> None:
    outcome = rig.try_out(function)
    assert outcome.value == error
    assert len(outcome.reports) == 1
    assert said in outcome.reports[0]


def fills_the_device() -> list[Any]:
    cu = start()
    before = [int(number) for number in ok(cu.cuMemGetInfo())]
    span = memory(600)
    refused = code(cu.cuMemAlloc(600))
    ok(cu.cuMemFree(span.address))
    return [before, refused, code(cu.cuMemAlloc(600))]


def test_memory_runs_out(rig: Rig) -> None:
    outcome = rig.try_out(fills_the_device, STANDIN_MEMORY_BYTES="1000")
    assert outcome.value == [[1000, 1000], "CUDA_ERROR_OUT_OF_MEMORY", "CUDA_SUCCESS"]
    assert outcome.leaks == {"device_memory": 1}
