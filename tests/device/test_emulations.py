"""The emulations of our kernels do what their CUDA source does, compiled as plain C++."""

from __future__ import annotations

import ctypes
import itertools
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnrnn.core.manifest import ImageSpec
from cnnrnn.runtime.device import frames
from cnnrnn.runtime.device.loop_kernels import SOURCE, WHILE_SOURCE
from cnnrnn.runtime.image import fitted
from tests.device import loop_kernels
from tests.device.frame_kernels import Fit, fitted_picture
from tests.driver import inside
from tests.driver.calls import pinned, start
from tests.driver.rig import Rig

# What the source takes from CUDA: one thread at a time, and a condition that is a number.
AROUND = r"""
#include <cmath>
using std::ceil, std::fabs, std::floor;
#define __fadd_rn(one, other) ((one) + (other))
#define __fmul_rn(one, other) ((one) * (other))
#define __dmul_rn(one, other) ((one) * (other))
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
# All threads of the kernel for frames, one after the other.
EVERY_PIXEL = r"""
extern "C" void fit(unsigned char *out, const unsigned char *bytes, long long row_bytes, int height,
                    int width, int channels, int is_bgr, int out_height, int out_width, int h, int w, int top,
                    int left, int fill) {
    for (int pixel = 0; pixel < out_height * out_width + 1; pixel++) {
        be(pixel, 1, 0);
        fit_frame(out, bytes, row_bytes, height, width, channels, is_bgr, out_height, out_width, h, w, top,
                  left, fill);
    }
}
"""
Pointer = ctypes.c_void_p
FITS = 600
CAMERAS = ((1080, 1920), (2160, 3840), (481, 641))
RESIZES: tuple[Any, ...] = ("letterbox", "stretch", "crop")


def compiled(folder: str) -> ctypes.CDLL:
    source, library = Path(folder) / "kernels.cpp", Path(folder) / "kernels.so"
    source.write_text(AROUND % (SOURCE + WHILE_SOURCE + frames.SOURCE) + EVERY_PIXEL)
    options = ("-std=c++17", "-O1", "-ffp-contract=off", "-shared", "-fPIC")
    subprocess.run(["g++", *options, "-o", str(library), str(source)], check=True)
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


def fits(folder: str) -> list[Any]:
    """Frames of all sizes against encoders of all sizes: those that differ, and by how much."""
    cuda, random, different, met = compiled(folder), np.random.default_rng(0), [], set()
    for number in range(FITS):
        resize, channels, way = RESIZES[number % 3], (1, 3, 4)[number // 3 % 3], number // 9 % 3
        height, width, high, wide = (int(size) for size in random.integers(1, 90, 4))
        if way == 1:  # a whole number of pixels in one
            height, width = high * int(random.integers(1, 5)), wide * int(random.integers(1, 5))
        if way == 2:
            height, width = high, wide
        if number < len(RESIZES) * len(CAMERAS):
            (height, width), high, wide = CAMERAS[number // 3], 224, 224
        image = ImageSpec(high, wide, (0, 0, 0), (1, 1, 1), resize=resize, fill=(10, 200, 30))
        place, row_bytes = fitted(height, width, image), width * channels + int(random.integers(0, 9))
        data = random.integers(0, 256, row_bytes * height, np.uint8)
        found = np.zeros((high, wide, 3), np.uint8)
        numbers = (
            *(height, width, channels, number % 2),
            *(high, wide, place.height, place.width, place.top, place.left, 10 << 16 | 200 << 8 | 30),
        )
        addresses = Pointer(found.ctypes.data), Pointer(data.ctypes.data), ctypes.c_longlong(row_bytes)
        cuda.fit(*addresses, *numbers)
        fit = Fit(0, 0, row_bytes, *numbers)  # pyright: ignore[reportCallIssue]
        wanted = fitted_picture(fit, data)
        gap = int(np.abs(wanted.astype(int) - found).max())
        same, shrinks = (place.height, place.width) == (height, width), place.height <= height
        shrinks &= place.width <= width
        met.add("same" if same else "averaged" if shrinks else "enlarged")
        # Where an average is summed up in another order than OpenCV's of this machine, by one.
        if gap > (shrinks and not same):
            different.append([height, width, channels, resize, high, wide, gap])
    assert met == {"same", "averaged", "enlarged"}
    return different


@pytest.mark.parametrize("function", [keeps, advances, widens, fits])
def test_an_emulation_is_its_source(function: Any, rig: Rig, tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed, which compiles the kernels as plain C++")
    outcome = rig.try_out(function, str(tmp_path))
    assert outcome.error is None, outcome.stderr
    assert outcome.value == []
