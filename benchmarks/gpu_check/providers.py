"""The checks `provider`: what the decoding loop asks of a device, through each library that reaches it."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.gpu_check.notes import FailedError, Notes, Setting
from benchmarks.gpu_check.place import prepare
from cnnrnn.runtime.device import Capture, Condition, Device, Kernel, Memory, Stream, open_device

_SOURCE = r"""
extern "C" __device__ __cudart_builtin__ void
cudaGraphSetConditional(cudaGraphConditionalHandle handle, unsigned int value);

extern "C" __global__ void add(int *numbers, int n, int by) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) numbers[i] += by;
}

extern "C" __global__ void below(cudaGraphConditionalHandle handle, const int *numbers, int limit) {
    cudaGraphSetConditional(handle, numbers[0] < limit);
}
"""
COUNT, REPLAYS, LIMIT = 1024, 3, 100


def provider(setting: Setting, notes: Notes, *, provider: str) -> None:
    """Each thing once, and noted when it has worked."""
    prepare(setting, provider)
    with open_device(provider=provider) as device, device.current(), device.stream() as stream:
        info = device.info
        notes.note(
            device=info.name,
            compute_capability=info.compute_capability,
            driver_cuda=info.driver_cuda,
            captures=info.captures,
            loops=info.loops,
            memory_bytes=info.memory_bytes,
            free_bytes=device.free_bytes(),
        )
        works: dict[str, bool] = {}
        add, below = _kernels(setting, device, with_loops=info.loops)
        with device.allocate(4 * COUNT, stream, what="numbers") as memory:
            works["copies"] = _copies(device, stream, memory)
            notes.note(works=works)
            works["kernels"] = _launches(device, stream, memory, add)
            notes.note(works=works)
            if info.captures:
                works["graphs"] = _replays(device, stream, memory, add)
                notes.note(works=works)
            if info.loops and below is not None:
                works["loops in graphs"] = _loops(device, stream, memory, add, below)
                notes.note(works=works)
    lacks = [name for name, able in (("graphs", info.captures), ("loops in graphs", info.loops)) if not able]
    without = f"; it has no {' and no '.join(lacks)}" if lacks else ""
    notes.note(summary=f"{', '.join(works)}{without}")
    wrong = [name for name, right in works.items() if not right]
    if wrong:
        raise FailedError(f"wrong numbers came out of: {', '.join(wrong)}")


def _kernels(setting: Setting, device: Device, *, with_loops: bool) -> tuple[Kernel, Kernel | None]:
    if setting.stand_in:  # which has to be told what they do
        from tests.device.kernels import add_kernel, below_kernel

        return add_kernel(device), below_kernel(device) if with_loops else None
    return device.kernel(_SOURCE, "add"), device.kernel(_SOURCE, "below") if with_loops else None


def _copies(device: Device, stream: Stream, memory: Memory) -> bool:
    """There and back, through a second buffer on the device."""
    wanted = np.arange(COUNT, dtype=np.int32)
    with device.allocate(memory.size_bytes, stream) as other, device.pinned(memory.size_bytes) as host:
        host.array(np.int32, (COUNT,))[:] = wanted
        stream.copy(memory, host)
        stream.copy(other, memory)
        stream.fill(memory, 0)
        found = _numbers(device, stream, other)
        zeros = _numbers(device, stream, memory)
    return bool((found == wanted).all() and not zeros.any())


def _launches(device: Device, stream: Stream, memory: Memory, add: Kernel) -> bool:
    """A kernel between two events."""
    stream.fill(memory, 0)
    with device.event(timing=True) as begin, device.event(timing=True) as end:
        stream.record(begin)
        _add(stream, memory, add, 7)
        stream.record(end)
        found = _numbers(device, stream, memory)
        return bool((found == 7).all() and end.reached and end.elapsed_ms(begin) >= 0)


def _replays(device: Device, stream: Stream, memory: Memory, add: Kernel) -> bool:
    stream.fill(memory, 0)
    with stream.capture(lambda capture: _add(capture, memory, add, 1)) as graph:
        for _ in range(REPLAYS):
            graph.launch(stream)
        return bool((_numbers(device, stream, memory) == REPLAYS).all())


def _loops(device: Device, stream: Stream, memory: Memory, add: Kernel, below: Kernel) -> bool:
    """One launch of a graph whose loop the device ends."""

    def body(capture: Capture, condition: Condition) -> None:
        _add(capture, memory, add, 1)
        capture.launch(below, condition, memory, np.int32(LIMIT))

    stream.fill(memory, 0)
    with stream.capture(lambda capture: capture.repeat(body)) as graph:
        graph.launch(stream)
        return bool((_numbers(device, stream, memory) == LIMIT).all())


def _add(queue: Any, memory: Memory, add: Kernel, by: int) -> None:
    queue.launch(add, memory, np.int32(COUNT), np.int32(by), grid=COUNT // 128, block=128)


def _numbers(device: Device, stream: Stream, memory: Memory) -> Any:
    with device.pinned(memory.size_bytes) as host:
        stream.copy(host, memory)
        stream.synchronize()
        return host.array(np.int32, (COUNT,)).copy()
