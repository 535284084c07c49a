"""Who may call what and when: initialisation, contexts, callbacks, forks, old drivers, planted failures."""

from __future__ import annotations

import os
from typing import Any

from tests.driver import inside
from tests.driver.calls import add, code, driver, event, memory, ok, start, stream, touch
from tests.driver.rig import Rig


def before_it_starts() -> list[str]:
    cu = driver()
    seen = [code(cu.cuDeviceGetCount()), code(cu.cuStreamCreate(0))]
    ok(cu.cuInit(0))
    return [*seen, code(cu.cuDeviceGetCount()), code(cu.cuStreamCreate(0)), code(cu.cuDeviceGet(1))]


def test_the_order_of_the_first_calls(rig: Rig) -> None:
    assert rig.try_out(before_it_starts).value == [
        "CUDA_ERROR_NOT_INITIALIZED", "CUDA_ERROR_NOT_INITIALIZED", "CUDA_SUCCESS",
        "CUDA_ERROR_INVALID_CONTEXT", "CUDA_ERROR_INVALID_DEVICE",
    ]  # fmt: skip
    assert rig.try_out(no_device, STANDIN_DEVICES="0").value == "CUDA_ERROR_NO_DEVICE"


def no_device() -> str:
    return code(driver().cuInit(0))


def of_another_context() -> list[str]:
    cu = start()
    on, reached = stream(), event()
    ok(cu.cuCtxSetCurrent(ok(cu.cuDevicePrimaryCtxRetain(1))))
    other = stream()
    return [
        code(cu.cuStreamSynchronize(on)),
        code(cu.cuEventRecord(reached, other)),
        code(cu.cuEventQuery(reached)),
    ]


def test_what_belongs_to_another_context_is_refused(rig: Rig) -> None:
    outcome = rig.try_out(of_another_context, STANDIN_DEVICES="2")
    assert outcome.value == ["CUDA_ERROR_INVALID_HANDLE"] * 3
    assert outcome.reports[0] == "stream 1 of one context was used while another was current"
    assert outcome.reports[1:] == ["event 1 of one context was used while another was current"] * 2


def unknown_handles() -> list[str]:
    cu = start()
    return [
        code(cu.cuStreamSynchronize(4096)),
        code(cu.cuEventSynchronize(int(stream()))),
        code(cu.cuGraphLaunch(4096, 0)),
        code(cu.cuGraphDestroy(4096)),
    ]


def test_unknown_handles_are_refused(rig: Rig) -> None:
    outcome = rig.try_out(unknown_handles)
    assert outcome.value == ["CUDA_ERROR_INVALID_HANDLE"] * 2 + ["CUDA_ERROR_INVALID_VALUE"] * 2
    assert outcome.reports[1] == "a stream was given where a event belongs"


def calls_from_a_callback() -> str:
    cu = start()
    on, seen = stream(), []
    inside.enqueue(int(on), lambda: seen.append(code(cu.cuStreamQuery(on))), name="curious")
    ok(cu.cuStreamSynchronize(on))
    return seen[0]


def test_work_must_not_call_the_driver(rig: Rig) -> None:
    outcome = rig.try_out(calls_from_a_callback)
    assert outcome.value == "CUDA_ERROR_NOT_PERMITTED"
    assert outcome.reports == ["'curious' called cuStreamQuery: work on a stream must not call the driver"]


def calls_after_a_fork() -> str:
    cu = start()
    stream()
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, code(cu.cuStreamCreate(0)).encode())
        os._exit(0)
    os.wait()
    return os.read(reader, 100).decode()


def test_a_forked_process_has_no_driver(rig: Rig) -> None:
    assert rig.try_out(calls_after_a_fork).value == "CUDA_ERROR_NOT_INITIALIZED"


def broken() -> list[str]:
    cu = start()
    on = stream()
    inside.break_context(inside.LAUNCH_FAILED)
    return [code(cu.cuStreamSynchronize(on)), code(cu.cuMemAlloc(8)), code(cu.cuDeviceGetCount())]


def test_a_broken_context_stays_so(rig: Rig) -> None:
    assert rig.try_out(broken).value == [
        "CUDA_ERROR_LAUNCH_FAILED",
        "CUDA_ERROR_LAUNCH_FAILED",
        "CUDA_SUCCESS",
    ]


def old_driver() -> list[Any]:
    cu = start()
    version = ok(cu.cuDriverGetVersion())
    try:
        cu.cuGraphConditionalHandleCreate(0, 0, 0, 0)
    except RuntimeError as error:
        return [version, str(error)]
    return [version, ""]


def test_an_old_driver_lacks_what_came_later(rig: Rig) -> None:
    version, said = rig.try_out(old_driver, STANDIN_DRIVER_VERSION="12020").value
    assert version == 12020
    assert "cuGraphConditionalHandleCreate" in said


def planted_failure() -> list[Any]:
    cu = start()
    on, span = stream(), memory(1)
    inside.fail_call(2, inside.OUT_OF_MEMORY)
    seen = [code(cu.cuMemAlloc(8)), code(cu.cuMemAlloc(8)), code(cu.cuMemAlloc(8))]
    inside.fail_call(1)
    seen.append(code(cu.cuMemFree(span.address)))  # gives back all the same
    touch(on, name="waits")
    inside.fail_call(1)
    seen.append(code(cu.cuStreamSynchronize(on)))
    return [seen, inside.lines(inside.Lines.RUNS), inside.alive()["device_memory"]]


def test_one_call_can_be_made_to_fail(rig: Rig) -> None:
    seen, ran, left = rig.try_out(planted_failure).value
    failed = "CUDA_ERROR_LAUNCH_FAILED"
    assert seen == ["CUDA_SUCCESS", "CUDA_ERROR_OUT_OF_MEMORY", "CUDA_SUCCESS", failed, failed]
    assert ran == []
    assert left == 2


def logs() -> list[list[str]]:
    cu = start()
    on, span = stream(), memory(1)
    inside.reset()
    add(on, span, span)
    ok(cu.cuStreamSynchronize(on))
    return [inside.lines(inside.Lines.CALLS), inside.lines(inside.Lines.RUNS)]


def test_every_call_is_logged(rig: Rig) -> None:
    assert rig.try_out(logs).value == [["standin_enqueue", "cuStreamSynchronize"], ["add"]]


def test_a_function_that_raises_is_told_of(rig: Rig) -> None:
    outcome = rig.try_out(raises)
    assert outcome.error == "ValueError: on purpose"
    assert "Traceback" in outcome.stderr


def raises() -> None:
    raise ValueError("on purpose")
