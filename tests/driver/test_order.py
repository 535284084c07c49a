"""Two operations that touch the same bytes are ordered by a stream, an event or the host, or are reported."""

from __future__ import annotations

from typing import Any

import pytest

from tests.driver.calls import event, memory, ok, start, stream, touch
from tests.driver.inside import Span
from tests.driver.rig import Rig


def two_streams(first: str, second: str, between: str) -> None:
    """`first` and `second`: "reads" or "writes"; `between`: what orders them."""
    cu = start()
    one, other, span = stream(), stream(), memory(8)
    touch(one, **{first: [span]}, name="first")  # type: ignore[arg-type]
    if between == "event":
        reached = event()
        ok(cu.cuEventRecord(reached, one))
        ok(cu.cuStreamWaitEvent(other, reached, 0))
        ok(cu.cuEventDestroy(reached))
    elif between == "event too early":
        reached = event()
        ok(cu.cuStreamWaitEvent(other, reached, 0))
        ok(cu.cuEventRecord(reached, one))
    elif between == "stream":
        ok(cu.cuStreamSynchronize(one))
    elif between == "question":
        while int(cu.cuStreamQuery(one)[0]):
            pass
    touch(other, **{second: [span]}, name="second")  # type: ignore[arg-type]
    ok(cu.cuCtxSynchronize())


@pytest.mark.parametrize("between", ["nothing", "event too early"])
@pytest.mark.parametrize(
    ("first", "second"), [("writes", "reads"), ("reads", "writes"), ("writes", "writes")]
)
def test_what_nothing_orders_is_reported(first: str, second: str, between: str, rig: Rig) -> None:
    assert rig.try_out(two_streams, first, second, between).reports == [
        f"race: 'second' {second} memory 1 of 8 bytes, which 'first' {first} on another stream, with nothing "
        "that orders them"
    ]


@pytest.mark.parametrize("between", ["event", "stream", "question"])
def test_what_is_ordered_is_not(between: str, rig: Rig) -> None:
    assert rig.try_out(two_streams, "writes", "writes", between).reports == []


def test_two_reads_need_no_order(rig: Rig) -> None:
    assert rig.try_out(two_streams, "reads", "reads", "nothing").reports == []


def apart_or_not(gap: int) -> None:
    start()
    span = memory(64)
    touch(stream(), writes=[Span(span.address, 32)], name="first")
    touch(stream(), writes=[Span(span.address + 32 - gap, 32)], name="second")


@pytest.mark.parametrize(("gap", "races"), [(0, 0), (1, 1)])
def test_bytes_are_what_counts(gap: int, races: int, rig: Rig) -> None:
    assert len(rig.try_out(apart_or_not, gap).reports) == races


def through_a_third() -> None:
    """One after another, the order carried by events through a stream that touches nothing."""
    cu = start()
    one, middle, other, span = stream(), stream(), stream(), memory(8)
    touch(one, writes=[span], name="first")
    for source, target in ((one, middle), (middle, other)):
        reached = event()
        ok(cu.cuEventRecord(reached, source))
        ok(cu.cuStreamWaitEvent(target, reached, 0))
    touch(other, reads=[span], name="second")


def test_order_is_carried_on(rig: Rig) -> None:
    assert rig.try_out(through_a_third).reports == []


def read_then_overwritten() -> None:
    """A read that nothing orders before a write, after one of the same stream that an event does."""
    cu = start()
    one, other, span = stream(), stream(), memory(8)
    reached = event()
    touch(one, reads=[span], name="read")
    ok(cu.cuEventRecord(reached, one))
    touch(one, reads=[span], name="read again")
    ok(cu.cuStreamWaitEvent(other, reached, 0))
    touch(other, writes=[span], name="write")


def test_a_later_read_counts(rig: Rig) -> None:
    outcome = rig.try_out(read_then_overwritten)
    assert len(outcome.reports) == 1
    assert "which 'read again' reads" in outcome.reports[0]


def freed_on_another_stream() -> None:
    cu = start()
    one, other = stream(), stream()
    span = Span(int(ok(cu.cuMemAllocAsync(8, one))), 8)
    touch(one, writes=[span], name="engine")
    ok(cu.cuMemFreeAsync(span.address, other))


def used_before_it_is_allocated() -> None:
    cu = start()
    one, other = stream(), stream()
    touch(other, writes=[Span(int(ok(cu.cuMemAllocAsync(8, one))), 8)], name="engine")


@pytest.mark.parametrize(
    ("function", "who"), [(freed_on_another_stream, "free"), (used_before_it_is_allocated, "allocation")]
)
def test_memory_of_a_stream_is_ordered_too(function: Any, who: str, rig: Rig) -> None:
    outcome = rig.try_out(function)
    assert len(outcome.reports) == 1
    assert f"'{who}'" in outcome.reports[0]


def on_the_default_stream() -> None:
    cu = start()
    span = memory(8)
    touch(stream(), writes=[span], name="engine")
    ok(cu.cuMemsetD8Async(span.address, 0, 8, 0))


def test_the_default_stream_orders_nothing(rig: Rig) -> None:
    assert len(rig.try_out(on_the_default_stream).reports) == 1
