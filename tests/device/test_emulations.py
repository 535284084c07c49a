"""The emulations of the loop's kernels do what their CUDA source does, compiled as plain C++."""

from __future__ import annotations

import ctypes
import itertools
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnrnn.runtime.device.loop_kernels import SOURCE
from tests.device import loop_kernels
from tests.driver import inside
from tests.driver.calls import pinned, start
from tests.driver.rig import Rig

# What the source takes from CUDA: one thread at a time, and a condition that is a number.
AROUND = r"""
#define __global__
#define __device__
#define __cudart_builtin__
#define __threadfence_system()
typedef unsigned long long cudaGraphConditionalHandle;
struct Index { int x; };
static Index blockIdx, blockDim, threadIdx;
static int condition = -1;
%s
extern "C" void cudaGraphSetConditional(cudaGraphConditionalHandle, unsigned value) {
    condition = (int)value;
}
extern "C" void be(int block, int threads, int thread) {
    blockIdx.x = block; blockDim.x = threads; threadIdx.x = thread;
}
extern "C" int last_condition() { return condition; }
"""
Pointer = ctypes.c_void_p


def compiled(folder: str) -> ctypes.CDLL:
    source, library = Path(folder) / "kernels.cpp", Path(folder) / "kernels.so"
    source.write_text(AROUND % SOURCE)
    subprocess.run(["g++", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    return ctypes.CDLL(str(library))


def reader(*values: Any) -> loop_kernels.Argument:
    return lambda number, kind: kind(values[number]).value


def keeps(folder: str) -> list[Any]:
    start()
    cuda, words, steps = compiled(folder), 5, 4
    history, row, progress = pinned(4 * words * steps), pinned(4 * words), pinned(12)
    different = []
    for kernel, step, stopped in itertools.product(("keep", "tell"), range(steps), (0, 1)):
        found = []
        for emulated in (False, True):
            loop_kernels.numbers(history)[:] = -7
            loop_kernels.numbers(row)[:] = range(10, 10 + words)
            loop_kernels.numbers(progress)[:] = step, stopped, steps
            pointers = history.address, row.address, words, progress.address
            if emulated:
                getattr(loop_kernels, kernel)(reader(*pointers))
            else:  # one thread more than there are words; tell is of one block
                blocks = range(3) if kernel == "keep" else range(1)
                for block, thread in itertools.product(blocks, range(2)):
                    cuda.be(block, 2, thread)
                    getattr(cuda, kernel)(*map(Pointer, pointers[:2]), words, Pointer(progress.address))
            found.append(loop_kernels.numbers(history).tolist())
        if found[0] != found[1]:
            different.append([kernel, step, stopped, *found])
        if (10 in found[0]) == bool(stopped):
            different.append([kernel, step, stopped, "kept nothing, or too much"])
    return different


def advances(folder: str) -> list[Any]:
    start()
    cuda = compiled(folder)
    progress, all_done, late, told = pinned(12), pinned(4), pinned(4), pinned(4)
    seen, different = set(), []
    for count, stopped, done, is_late, limit in itertools.product(
        (0, 1, 2), (0, 1), (0, 1, 3), (0, 1), (1, 3)
    ):
        found = []
        for emulated in (False, True):
            loop_kernels.numbers(progress)[:] = count, stopped, limit
            loop_kernels.numbers(all_done)[0], loop_kernels.numbers(late)[0] = done, is_late
            loop_kernels.numbers(told)[0] = 77
            pointers = progress.address, all_done.address, late.address, told.address
            if emulated:
                loop_kernels.advance(reader(*pointers))
            else:
                cuda.advance(*map(Pointer, pointers))
            found.append((*loop_kernels.numbers(progress).tolist(), *loop_kernels.numbers(told).tolist()))
        cuda.go_on(ctypes.c_ulonglong(1), Pointer(progress.address))
        seen.add((found[0][1], cuda.last_condition()))
        if found[0] != found[1]:
            different.append([count, stopped, done, is_late, limit, *found])
    assert seen == {(0, 1), (1, 0)}
    return different


def widens(folder: str) -> list[Any]:
    start()
    cuda, different = compiled(folder), []
    for images, beams, size in itertools.product((1, 3), (1, 4), (1, 6)):
        total = images * beams * size
        state, wide = pinned(images * size), pinned(total)
        found = []
        for emulated in (False, True):
            inside.view(state, np.uint8)[:] = range(1, images * size + 1)
            inside.view(wide, np.uint8)[:] = 0
            pointers = wide.address, state.address
            if emulated:
                loop_kernels.widen(reader(*pointers, size, beams, total))
            else:
                for block, thread in itertools.product(range(total // 4 + 1), range(4)):
                    cuda.be(block, 4, thread)
                    cuda.widen(*map(Pointer, pointers), size, beams, ctypes.c_longlong(total))
            found.append(inside.view(wide, np.uint8).tolist())
        wanted = np.arange(1, images * size + 1).reshape(images, 1, size).repeat(beams, axis=1)
        if found[0] != found[1] or found[0] != wanted.ravel().tolist():
            different.append([images, beams, size, *found])
    return different


@pytest.mark.parametrize("function", [keeps, advances, widens])
def test_an_emulation_is_its_source(function: Any, rig: Rig, tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed, which compiles the kernels as plain C++")
    outcome = rig.try_out(function, str(tmp_path))
    assert outcome.error is None, outcome.stderr
    assert outcome.value == []
