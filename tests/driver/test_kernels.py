"""Kernels: real cubins for their arguments, emulations for what they do, and while-nodes around them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.driver import inside
from tests.driver.calls import add, code, compiled, core, memory, ok, on_host, start, stream
from tests.driver.inside import Span, Touched
from tests.driver.rig import Rig

FILL = r"""
extern "C" __global__ void fill(unsigned char *target, char value, int n, double unused) {
    for (int i = 0; i < n; i++) target[i] = value;
}
"""
BELOW = r"""
extern "C" __device__ __cudart_builtin__ void
cudaGraphSetConditional(cudaGraphConditionalHandle handle, unsigned int value);
extern "C" __global__ void below(cudaGraphConditionalHandle handle, const unsigned char *counter, int limit) {
    cudaGraphSetConditional(handle, *counter < limit);
}
"""
Argument = Callable[[int, Any], Any]


def target(argument: Argument) -> Span:
    return Span(argument(0, ctypes.c_uint64), argument(2, ctypes.c_int))


def emulate_fill() -> None:
    def work(argument: Argument) -> None:
        inside.view(target(argument), np.uint8)[:] = argument(1, ctypes.c_uint8)

    inside.emulate("fill", lambda argument: Touched((), [target(argument)]), work)


def launch(kernel: Any, on: Any, arguments: tuple[Any, ...], threads: int = 1) -> Any:
    """``arguments``: values, and their ctypes types."""
    cu = start()
    function = ok(cu.cuKernelGetFunction(kernel))
    return cu.cuLaunchKernel(function, 1, 1, 1, threads, 1, 1, 0, on, arguments, 0)


def fills() -> list[Any]:
    cu = start()
    on, span, kernel = stream(), memory(4), compiled(FILL, "fill")
    emulate_fill()
    sizes = [[int(number) for number in ok(cu.cuKernelGetParamInfo(kernel, index))] for index in range(4)]
    beyond = code(cu.cuKernelGetParamInfo(kernel, 4))
    kinds = (ctypes.c_void_p, ctypes.c_char, ctypes.c_int, ctypes.c_double)
    ok(launch(kernel, on, ((span.address, b"\x07", 3, 0.0), kinds)))
    too_large = code(launch(kernel, on, ((span.address, b"\x07", 3, 0.0), kinds), threads=2048))
    return [sizes, beyond, on_host(span, on), too_large]


def test_a_kernel_has_the_arguments_of_its_cubin(rig: Rig) -> None:
    outcome = rig.try_out(fills)
    assert outcome.error is None, outcome.stderr
    assert outcome.value == [
        [[0, 8], [8, 1], [12, 4], [16, 8]], "CUDA_ERROR_INVALID_VALUE",
        [7, 7, 7, 0xCD], "CUDA_ERROR_INVALID_VALUE",
    ]  # fmt: skip
    assert outcome.counts["kernels"] == 1


def not_emulated() -> list[str]:
    on, kernel = stream_after_start(), compiled(FILL, "fill")
    kinds = (ctypes.c_void_p, ctypes.c_char, ctypes.c_int, ctypes.c_double)
    return [code(launch(kernel, on, ((0, b"a", 3, 0.0), kinds)))]


def stream_after_start() -> Any:
    start()
    return stream()


def not_in_the_cubin() -> list[str]:
    start()
    try:
        compiled(FILL, "empty")
    except AssertionError as error:
        return [str(error)]
    return []


def no_cubin() -> list[str]:
    cu = start()
    return [code(cu.cuLibraryLoadData(b"// PTX", [], [], 0, [], [], 0))]


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (not_emulated, "CUDA_ERROR_NOT_SUPPORTED"),
        (not_in_the_cubin, "CUDA_ERROR_NOT_FOUND"),
        (no_cubin, "CUDA_ERROR_INVALID_IMAGE"),
    ],
)
def test_a_kernel_that_is_not_there(function: Any, error: str, rig: Rig) -> None:
    (said,) = rig.try_out(function).value
    assert error in said


def work_that_fails() -> list[str]:
    cu = start()
    on = stream()

    def fail() -> None:
        raise ValueError("an engine's own error")

    inside.enqueue(int(on), fail, name="engine")
    inside.enqueue(int(on), lambda: None, name="after")
    return [code(cu.cuStreamSynchronize(on)), code(cu.cuMemAlloc(8))]


def test_work_that_fails_breaks_the_context(rig: Rig) -> None:
    outcome = rig.try_out(work_that_fails)
    assert outcome.value == ["CUDA_ERROR_LAUNCH_FAILED"] * 2
    assert outcome.runs == ["engine"]
    assert outcome.reports == ["'engine' failed"]
    assert "an engine's own error" in outcome.stderr


def emulate_below() -> None:
    def work(argument: Argument) -> None:
        counter = inside.view(Span(argument(1, ctypes.c_uint64), 1), np.uint8)[0]
        inside.set_condition(argument(0, ctypes.c_uint64), int(counter < argument(2, ctypes.c_int)))

    inside.emulate("below", lambda argument: Touched([Span(argument(1, ctypes.c_uint64), 1)], ()), work)


def loops(limit: int) -> list[Any]:
    """A while-node that counts up to the limit, launched twice."""
    cu = start()
    core().Device().set_current()
    on, counter = stream(), memory(1)
    kernel = core().Kernel.from_handle(int(compiled(BELOW, "below")))
    emulate_below()
    builder = core().Stream.from_handle(int(on)).create_graph_builder()
    builder.begin_building("thread_local")
    condition = builder.create_condition(default_value=1)
    body = builder.while_loop(condition).begin_building("thread_local")
    add(int(body.stream.handle), counter, counter)
    core().launch(
        body, core().LaunchConfig(grid=1, block=1), kernel, condition, counter.address, ctypes.c_int(limit)
    )
    body.end_building()
    graph = builder.end_building().complete()
    before = inside.lines(inside.Lines.RUNS)
    found = []
    for _ in range(2):
        ok(cu.cuMemsetD8Async(counter.address, 0, 1, on))
        graph.launch(core().Stream.from_handle(int(on)))
        found += on_host(counter, on)
    return [before, found, inside.counts()["synchronizes"]]


def test_a_while_node_runs_until_its_kernel_says_stop(rig: Rig) -> None:
    outcome = rig.try_out(loops, 7)
    assert outcome.error is None, outcome.stderr
    assert outcome.reports == []
    assert outcome.value == [[], [7, 7], 2]


def sets_no_condition() -> list[str]:
    start()
    try:
        inside.set_condition(99, 1)
    except ValueError as error:
        return [str(error)]
    return []


def test_a_handle_that_is_none(rig: Rig) -> None:
    outcome = rig.try_out(sets_no_condition)
    assert outcome.value == ["99 is no handle of a condition"] == outcome.reports
