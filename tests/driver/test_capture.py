"""A capture runs nothing, refuses what a driver refuses, and is replayed with what it recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.driver import inside
from tests.driver.calls import add, code, driver, event, memory, ok, on_host, start, stream, touch
from tests.driver.inside import Lines
from tests.driver.rig import Rig


def mode(name: str) -> Any:
    return getattr(driver().CUstreamCaptureMode, f"CU_STREAM_CAPTURE_MODE_{name}")


def captured(on: Any, work: Callable[[], object]) -> Any:
    """The graph of what `work` queues on the stream."""
    cu = start()
    ok(cu.cuStreamBeginCapture(on, mode("GLOBAL")))
    work()
    return ok(cu.cuStreamEndCapture(on))


def launched_twice() -> list[Any]:
    cu = start()
    on, span = stream(), memory(2)
    ok(cu.cuMemsetD8Async(span.address, 0, 2, on))
    graph = captured(on, lambda: add(on, span, span))
    before = inside.lines(Lines.RUNS)
    executable = ok(cu.cuGraphInstantiate(graph, 0))
    ok(cu.cuGraphDestroy(graph))
    ok(cu.cuGraphLaunch(executable, on))
    ok(cu.cuGraphLaunch(executable, on))
    found = on_host(span, on)
    ok(cu.cuGraphExecDestroy(executable))
    return [before, found, inside.counts()["graph_launches"]]


def test_a_capture_runs_nothing_and_a_graph_runs_often(rig: Rig) -> None:
    outcome = rig.try_out(launched_twice)
    assert outcome.reports == []
    assert outcome.value == [[], [2, 2], 2]


def during(call: str) -> list[str]:
    """A call in the middle of a capture, the end of the capture, and a capture after it."""
    cu = start()
    on, span, ahead = stream(), memory(8), event()
    calls: dict[str, Callable[[], Any]] = {
        "synchronise": lambda: cu.cuStreamSynchronize(on),
        "query": lambda: cu.cuStreamQuery(on),
        "synchronise all": lambda: cu.cuCtxSynchronize(),
        "allocate": lambda: cu.cuMemAlloc(8),
        "allocate on the stream": lambda: cu.cuMemAllocAsync(8, on),
        "allocate pinned": lambda: cu.cuMemAllocHost(8),
        "free": lambda: cu.cuMemFree(span.address),
        "free on the stream": lambda: cu.cuMemFreeAsync(span.address, on),
        "copy and wait": lambda: cu.cuMemcpyDtoH(bytearray(8), span.address, 8),
        "query an event": lambda: cu.cuEventQuery(ahead),
        "destroy": lambda: cu.cuStreamDestroy(on),
    }
    ok(cu.cuStreamBeginCapture(on, mode("GLOBAL")))
    seen = [code(calls[call]())]
    touch(on, name="more") if call == "nothing" else None
    seen.append(code(cu.cuStreamEndCapture(on)))
    ok(cu.cuStreamBeginCapture(on, mode("GLOBAL")))
    return [*seen, code(cu.cuStreamEndCapture(on))]


@pytest.mark.parametrize(
    "call",
    [
        "synchronise", "query", "synchronise all", "allocate", "allocate on the stream", "allocate pinned",
        "free", "free on the stream", "copy and wait", "query an event", "destroy",
    ],
)  # fmt: skip
def test_what_a_capture_refuses(call: str, rig: Rig) -> None:
    outcome = rig.try_out(during, call)
    refused, invalid = "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"
    assert outcome.value == [refused, invalid, "CUDA_SUCCESS"]
    assert len(outcome.reports) == 1


def allocates_in_a_capture(named: str) -> str:
    cu = start()
    on = stream()
    ok(cu.cuStreamBeginCapture(on, mode(named)))
    refused = code(cu.cuMemAlloc(8))
    cu.cuStreamEndCapture(on)
    return refused


def test_a_relaxed_capture_forbids_less(rig: Rig) -> None:
    refused = "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"
    assert rig.try_out(allocates_in_a_capture, "RELAXED").value == "CUDA_SUCCESS"
    assert rig.try_out(allocates_in_a_capture, "THREAD_LOCAL").value == refused


def forks(joins: bool) -> list[Any]:
    cu = start()
    on, other, forked, joined, span = stream(), stream(), event(), event(), memory(1)
    ok(cu.cuMemsetD8Async(span.address, 0, 1, on))
    ok(cu.cuStreamBeginCapture(on, mode("GLOBAL")))
    add(on, span, span, "first")
    ok(cu.cuEventRecord(forked, on))
    ok(cu.cuStreamWaitEvent(other, forked, 0))
    add(other, span, span, "second")
    if joins:
        ok(cu.cuEventRecord(joined, other))
        ok(cu.cuStreamWaitEvent(on, joined, 0))
    ended = cu.cuStreamEndCapture(on)
    if not joins:
        return [code(ended)]
    ok(cu.cuGraphLaunch(ok(cu.cuGraphInstantiate(ok(ended), 0)), on))
    return [on_host(span, on), code(cu.cuEventSynchronize(joined))]


def test_a_capture_of_two_streams(rig: Rig) -> None:
    outcome = rig.try_out(forks, True)
    assert outcome.reports == []
    assert outcome.value == [[2], "CUDA_ERROR_CAPTURED_EVENT"]
    assert rig.try_out(forks, False).value == ["CUDA_ERROR_STREAM_CAPTURE_UNJOINED"]


def branches_that_race() -> None:
    cu = start()
    on, other, forked, joined, span = stream(), stream(), event(), event(), memory(1)
    ok(cu.cuStreamBeginCapture(on, mode("GLOBAL")))
    ok(cu.cuEventRecord(forked, on))
    ok(cu.cuStreamWaitEvent(other, forked, 0))
    touch(on, writes=[span], name="one")
    touch(other, writes=[span], name="other")
    ok(cu.cuEventRecord(joined, other))
    ok(cu.cuStreamWaitEvent(on, joined, 0))
    ok(cu.cuGraphInstantiate(ok(cu.cuStreamEndCapture(on)), 0))


def test_branches_of_a_graph_that_race(rig: Rig) -> None:
    assert rig.try_out(branches_that_race).reports == [
        "race: 'one' and 'other' touch memory 1 in one graph, with nothing that orders them"
    ]


def waits_for_what_is_not_captured() -> list[str]:
    cu = start()
    on, other, outside = stream(), stream(), event()
    ok(cu.cuEventRecord(outside, other))
    ok(cu.cuStreamBeginCapture(on, mode("GLOBAL")))
    return [code(cu.cuStreamWaitEvent(on, outside, 0)), code(cu.cuStreamEndCapture(on))]


def test_a_capture_does_not_depend_on_the_outside(rig: Rig) -> None:
    isolated, invalid = "CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"
    assert rig.try_out(waits_for_what_is_not_captured).value == [isolated, invalid]


def in_flight(between: str) -> None:
    cu = start()
    on, other, done = stream(), stream(), event()
    executable = ok(cu.cuGraphInstantiate(captured(on, lambda: touch(on, name="work")), 0))
    ok(cu.cuGraphLaunch(executable, on))
    if between == "event":
        ok(cu.cuEventRecord(done, on))
        ok(cu.cuStreamWaitEvent(other, done, 0))
    if between == "destroyed":
        ok(cu.cuGraphExecDestroy(executable))
    else:
        ok(cu.cuGraphLaunch(executable, other))


@pytest.mark.parametrize(
    ("between", "reports"),
    [
        ("event", []),
        (
            "nothing",
            ["'graph 1' was launched while a launch of it was in flight, with nothing that orders them"],
        ),
        ("destroyed", ["'graph 1' was destroyed while a launch of it was in flight"]),
    ],
)
def test_a_graph_in_flight(between: str, reports: list[str], rig: Rig) -> None:
    assert rig.try_out(in_flight, between).reports == reports


def races_with_a_graph() -> None:
    cu = start()
    on, other, span = stream(), stream(), memory(8)
    work = captured(on, lambda: touch(on, writes=[span], name="inside"))
    ok(cu.cuGraphLaunch(ok(cu.cuGraphInstantiate(work, 0)), on))
    touch(other, reads=[span], name="outside")


def test_a_graph_touches_what_its_nodes_touch(rig: Rig) -> None:
    outcome = rig.try_out(races_with_a_graph)
    assert len(outcome.reports) == 1
    assert "'outside' reads memory 1 of 8 bytes, which 'graph 1' writes" in outcome.reports[0]


def wrong_ends() -> list[str]:
    cu = start()
    on, other = stream(), stream()
    seen = [code(cu.cuStreamEndCapture(on)), code(cu.cuStreamBeginCapture(0, mode("GLOBAL")))]
    ok(cu.cuStreamBeginCapture(on, mode("GLOBAL")))
    forked = event()
    ok(cu.cuEventRecord(forked, on))
    ok(cu.cuStreamWaitEvent(other, forked, 0))
    return [*seen, code(cu.cuStreamBeginCapture(on, mode("GLOBAL"))), code(cu.cuStreamEndCapture(other))]


def test_beginnings_and_ends_that_do_not_match(rig: Rig) -> None:
    assert rig.try_out(wrong_ends).value == [
        "CUDA_ERROR_ILLEGAL_STATE", "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "CUDA_ERROR_ILLEGAL_STATE",
        "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED",
    ]  # fmt: skip
