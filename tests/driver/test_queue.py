"""Work runs when the host waits for it, or for what comes after it, and no other work does."""

from __future__ import annotations

from typing import Any

from tests.driver import inside
from tests.driver.calls import add, code, event, memory, ok, on_host, pinned, start, stream, touch
from tests.driver.inside import Lines
from tests.driver.rig import Rig


def ran() -> list[str]:
    return inside.lines(Lines.RUNS)


def waits_for_streams() -> list[Any]:
    cu = start()
    first, second = stream(), stream()
    touch(first, name="a")
    touch(second, name="b")
    touch(first, name="c")
    seen = [ran()]
    ok(cu.cuStreamSynchronize(second))
    seen.append(ran())
    touch(second, name="d")
    ok(cu.cuCtxSynchronize())
    return [*seen, ran(), inside.counts()["synchronizes"]]


def test_a_stream_runs_alone(rig: Rig) -> None:
    assert rig.try_out(waits_for_streams).value == [[], ["b"], ["b", "a", "c", "d"], 2]


def waits_for_an_event() -> list[list[str]]:
    cu = start()
    on, other, reached = stream(), stream(), event()
    touch(on, name="before")
    ok(cu.cuEventRecord(reached, on))
    touch(on, name="after")
    touch(other, name="ahead")
    ok(cu.cuStreamWaitEvent(other, reached, 0))
    touch(other, name="behind")
    ok(cu.cuEventSynchronize(reached))
    seen = [ran()]
    ok(cu.cuStreamSynchronize(other))
    return [*seen, ran()]


def test_an_event_runs_what_is_before_it(rig: Rig) -> None:
    assert rig.try_out(waits_for_an_event).value == [["before"], ["before", "ahead", "behind"]]


def waits_through_another_stream() -> list[str]:
    cu = start()
    on, other, reached = stream(), stream(), event()
    touch(on, name="first")
    ok(cu.cuEventRecord(reached, on))
    ok(cu.cuStreamWaitEvent(other, reached, 0))
    touch(other, name="second")
    ok(cu.cuEventRecord(reached, other))  # recorded anew: the wait is for the record that it saw
    ok(cu.cuStreamSynchronize(other))
    return ran()


def test_a_wait_runs_the_other_stream(rig: Rig) -> None:
    assert rig.try_out(waits_through_another_stream).value == ["first", "second"]


def asks() -> list[Any]:
    cu = start()
    on, reached = stream(), event()
    touch(on, name="a")
    touch(on, name="b")
    ok(cu.cuEventRecord(reached, on))
    answers = []
    while (answer := code(cu.cuEventQuery(reached))) != "CUDA_SUCCESS":
        answers.append([answer, ran()])
    return [*answers, [answer, ran()], code(cu.cuStreamQuery(on))]


def test_each_question_lets_one_operation_run(rig: Rig) -> None:
    late = "CUDA_ERROR_NOT_READY"
    expected = [[late, ["a"]], [late, ["a", "b"]], ["CUDA_SUCCESS", ["a", "b"]], "CUDA_SUCCESS"]
    assert rig.try_out(asks).value == expected


def copies_and_counts() -> list[Any]:
    cu = start()
    on, one, two, host = stream(), memory(4), memory(4), pinned(4)
    inside.view(host, "u1")[:] = 7
    ok(cu.cuMemcpyHtoDAsync(one.address, host.address, 4, on))
    ok(cu.cuMemcpyDtoDAsync(two.address, one.address, 3, on))
    add(on, two, two)
    inside.view(host, "u1")[:] = 9  # pinned memory is read when the copy runs
    return [on_host(two, on), inside.counts()]


def test_copies_are_counted_when_they_run(rig: Rig) -> None:
    found, counts = rig.try_out(copies_and_counts).value
    assert found == [10, 10, 10, 0xCE]
    assert (counts["host_to_device"], counts["host_to_device_bytes"]) == (1, 4)
    assert (counts["device_to_device"], counts["device_to_device_bytes"]) == (1, 3)
    assert (counts["device_to_host"], counts["device_to_host_bytes"]) == (1, 4)
    assert (counts["synchronizes"], counts["pageable"], counts["host_functions"]) == (1, 0, 1)


def copies_from_the_hosts_own_memory() -> int:
    cu = start()
    on, span = stream(), memory(4)
    ok(cu.cuMemcpyHtoDAsync(span.address, bytes(4), 4, on))
    ok(cu.cuStreamSynchronize(on))
    return inside.counts()["pageable"]


def test_memory_that_is_not_pinned_is_counted(rig: Rig) -> None:
    assert rig.try_out(copies_from_the_hosts_own_memory).value == 1


def destroys_with_work() -> list[str]:
    cu = start()
    on = stream()
    touch(on, name="late")
    return [code(cu.cuStreamDestroy(on)), code(cu.cuStreamDestroy(on)), code(cu.cuStreamSynchronize(on))]


def test_a_stream_that_is_destroyed(rig: Rig) -> None:
    outcome = rig.try_out(destroys_with_work)
    assert outcome.value == ["CUDA_SUCCESS", "CUDA_ERROR_INVALID_HANDLE", "CUDA_ERROR_INVALID_HANDLE"]
    assert outcome.reports[0] == "stream 1 was destroyed with work in flight"
    assert outcome.reports[1:] == ["stream 1 was used after it was destroyed"] * 2


def measures() -> list[Any]:
    cu = start()
    on = stream()
    first, last = (ok(cu.cuEventCreate(0)) for _ in range(2))
    ok(cu.cuEventRecord(first, on))
    touch(on, name="work")
    ok(cu.cuEventRecord(last, on))
    early = code(cu.cuEventElapsedTime(first, last))
    ok(cu.cuEventSynchronize(last))
    return [early, ok(cu.cuEventElapsedTime(first, last)) >= 0]


def test_times_are_there_when_the_events_are_reached(rig: Rig) -> None:
    assert rig.try_out(measures).value == ["CUDA_ERROR_NOT_READY", True]
