"""What is pycuda's own: its stack of contexts, its arrays, its compilers, and a device without graphs."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnrnn.core.errors import CnnrnnError, DeviceError, MissingDependencyError, OptionsError
from cnnrnn.runtime.device import open_device
from cnnrnn.runtime.device.pycuda import compiler, context
from cnnrnn.runtime.device.pycuda.libcuda import Libcuda
from tests.device.kernels import SOURCE, add_kernel
from tests.device.test_device import opened, refused
from tests.driver import inside
from tests.driver.calls import driver, ok
from tests.driver.rig import Rig

pytestmark = pytest.mark.usefixtures("pycuda")


def pycuda_driver() -> Any:
    """The module ``pycuda.driver``."""
    return importlib.import_module("pycuda.driver")


def current() -> int:
    """The driver's current context."""
    return int(ok(driver().cuCtxGetCurrent()))


def answer() -> int:
    """A step in small: memory, a copy in, a kernel, an event between two streams, a copy out, one wait."""
    with open_device(provider="pycuda") as device, device.current():
        add = add_kernel(device)
        with (
            device.stream() as stream,
            device.stream() as other,
            device.event() as encoded,
            device.allocate(4, stream, what="tokens") as memory,
            device.pinned(4) as host,
        ):
            host.array(np.int32, (1,))[0] = 1
            stream.copy(memory, host)
            stream.launch(add, memory, np.int32(1), np.int32(2))
            stream.record(encoded)
            other.wait(encoded)
            other.copy(host, memory)
            other.synchronize()
            return int(host.array(np.int32, (1,))[0])


def leaks() -> dict[str, int]:
    """What is there and not given back."""
    return {name: count for name, count in inside.alive().items() if count}


def with_each_failure() -> list[Any]:
    """An answer for each of its calls, which fails: the call, what came of it, the context that is current
    then, what is left, and what after one more answer."""
    answer()  # NVRTC asks the driver a few things once
    context.let_go(Libcuda(), 0, os.getpid())
    inside.reset()
    assert answer() == 3
    calls = len(inside.lines(inside.Lines.CALLS))
    found: list[Any] = []
    for number in range(1, calls + 1):
        context.let_go(Libcuda(), 0, os.getpid())  # as if the process had just started
        before = len(inside.lines(inside.Lines.CALLS))
        inside.fail_call(number, inside.OUT_OF_MEMORY)
        try:
            came: Any = answer()
        except CnnrnnError as error:
            came = f"{type(error).__name__}: {error}"
        inside.fail_call(0)
        call = inside.lines(inside.Lines.CALLS)[before + number - 1]
        left = leaks()
        if left:
            answer()
        found.append([call, came, current(), left, leaks()])
    return [found, answer()]


@pytest.mark.slow
def test_every_call_fails_once(rig: Rig) -> None:
    found, last = rig.run(with_each_failure).value
    assert last == 3
    raised = set()
    for call, came, left_current, left, later in found:
        assert (left_current, later) == (0, {}), call
        # Where closing the device could not make its context current, its kernels go with what goes next.
        if call not in ("cuCtxGetCurrent", "cuCtxPushCurrent") or left != {"modules": 1}:
            assert left == {}, call
        if came != 3:
            raised.add(call)
            assert "CUDA_ERROR_OUT_OF_MEMORY" in came or "out of memory: " in came, (call, came)
    # pycuda says on standard error alone what fails where something is given back.
    assert {
        "cuInit", "cuDevicePrimaryCtxRetain", "cuCtxPushCurrent", "cuModuleLoadDataEx", "cuStreamCreate",
        "cuMemHostAlloc", "cuMemcpyHtoDAsync", "cuLaunchKernel", "cuEventRecord", "cuStreamWaitEvent",
        "cuStreamSynchronize", "cuFuncGetParamInfo",
    } <= raised  # fmt: skip


def contexts() -> list[Any]:
    """The caller has a context of pycuda's, and then one on top that pycuda does not know of, as torch's."""
    cuda = pycuda_driver()
    cuda.init()
    own = cuda.Device(0).make_context()
    seen = [current() == own.handle]
    with open_device(provider="pycuda") as device:
        with device.current():
            seen.append(current() == own.handle)
            device.stream().close()
        seen.append(current() == own.handle)
        primary = int(ok(driver().cuDevicePrimaryCtxRetain(0)))
        ok(driver().cuCtxSetCurrent(primary))
        with device.current(), device.stream() as stream:
            stream.synchronize()
        seen.append(current() == primary)
        ok(driver().cuCtxSetCurrent(own.handle))
    seen.append(current() == own.handle)
    own.pop()
    own.detach()
    return [*seen, current()]


def test_the_callers_contexts_stay(rig: Rig) -> None:
    assert rig.run(contexts).value == [True, False, True, True, True, 0]


def with_an_array() -> list[Any]:
    """The caller's GPUArray, in the primary context, before, while and after a device is used."""
    cuda = pycuda_driver()
    cuda.init()
    primary = cuda.Device(0).retain_primary_context()
    primary.push()
    gpuarray = importlib.import_module("pycuda.gpuarray")
    array = gpuarray.to_gpu(np.arange(4, dtype=np.int32))
    with opened("pycuda") as (device, stream):
        within = array.get().tolist()
        stream.launch(add_kernel(device), np.uint64(array.ptr), np.int32(4), np.int32(10), block=4)
        stream.synchronize()
    after = array.get().tolist()
    is_own = current() == primary.handle
    array.gpudata.free()
    primary.pop()
    primary.detach()
    return [within, after, is_own]


def test_an_array_of_the_callers_stays_usable(rig: Rig) -> None:
    """It is an address in the same context: a kernel of ours takes it."""
    assert rig.run(with_an_array).value == [[0, 1, 2, 3], [10, 11, 12, 13], True]


def closed_elsewhere() -> list[Any]:
    """Closing in no context, and in another thread."""
    device = open_device(provider="pycuda")
    with device.current():
        stream, event = device.stream(), device.event()
        memory, host, other = device.allocate(4, stream), device.pinned(4), device.stream()
        add_kernel(device)
        stream.fill(memory, 1)
        stream.copy(host, memory)
    for thing in (memory, host, event):
        thing.close()
    thread = threading.Thread(target=lambda: [thing.close() for thing in (stream, other, device)])
    thread.start()
    thread.join()
    gc.collect()
    return [current(), leaks()]


def test_it_is_closed_in_its_own_context(rig: Rig) -> None:
    outcome = rig.run(closed_elsewhere)
    assert outcome.value == [0, {}]
    assert outcome.stderr == ""


def closed_when_lost() -> list[Any]:
    """What was made in a context that is lost is given back, within it and outside."""
    with open_device(provider="pycuda") as device:
        with device.current():
            add_kernel(device)
            stream, other, event = device.stream(), device.stream(), device.event()
            memory, host = device.allocate(4, stream), device.pinned(4)
            inside.enqueue(stream.handle, lambda: 1 // 0, name="engine")
            said = refused(DeviceError, stream.synchronize)
        memory.close()
        other.close()
        with device.current():
            for thing in (host, event, stream):
                thing.close()
    return [said, current()]


def test_a_lost_context_is_closed(rig: Rig) -> None:
    outcome = rig.try_out(closed_when_lost)
    assert outcome.error is None, outcome.stderr
    said, left = outcome.value
    assert "CUDA_ERROR_LAUNCH_FAILED" in said
    assert left == 0


def frees_before_its_work() -> list[Any]:
    """Memory that an engine uses by the stream's handle alone is given back when that is through."""
    with opened("pycuda") as (device, stream):
        memory = device.allocate(4, stream)
        span = inside.Span(memory.address, 4)
        inside.enqueue(stream.handle, lambda: None, writes=[span], name="engine")
        before = stream.counters.snapshot()
        memory.close()
        return [stream.counters.since(before).synchronizes, inside.lines(inside.Lines.RUNS)]


def test_memory_waits_for_its_streams(rig: Rig) -> None:
    assert rig.run(frees_before_its_work).value == [0, ["engine"]]


def without_graphs() -> list[str]:
    with opened("pycuda") as (device, stream), device.pinned(4) as one, device.pinned(4) as other:
        return [
            refused(DeviceError, stream.capture, lambda capture: None),
            refused(DeviceError, stream.copy, one, other),
        ]


def test_what_pycuda_cannot_do_is_said(rig: Rig) -> None:
    capture, copy = rig.run(without_graphs).value
    assert capture.startswith("pycuda captures no streams: launch without a graph, or take the provider")
    assert copy.endswith("pycuda queues no copy from host to host")


def times() -> list[Any]:
    with (
        opened("pycuda") as (device, stream),
        device.event(timing=True) as one,
        device.event(timing=True) as two,
    ):
        stream.record(one)
        stream.record(two)
        two.synchronize()
        return [one.reached, two.elapsed_ms(one) >= 0, stream.counters.synchronizes]


def test_events_have_times(rig: Rig) -> None:
    assert rig.run(times).value == [True, True, 1]


@contextlib.contextmanager
def without(*modules: str) -> Iterator[None]:
    """These modules are not installed, as far as an import can tell."""
    gone = [name for name in sys.modules if name.startswith(modules)]
    kept = {name: sys.modules.pop(name) for name in gone}

    class Refusing:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            if name.startswith(modules):
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    sys.meta_path.insert(0, Refusing)  # type: ignore[arg-type]
    try:
        yield
    finally:
        sys.meta_path.remove(Refusing)  # type: ignore[arg-type]
        sys.modules.update(kept)


def providers() -> list[Any]:
    def kind(**options: Any) -> str:
        with open_device(**options) as device:
            return type(device).__name__

    seen: list[Any] = [kind(), kind(provider="cuda-core"), kind(provider="pycuda")]
    seen.append(refused(OptionsError, open_device, provider="cupy"))
    with without("cuda."):
        seen += [kind(), refused(MissingDependencyError, open_device, provider="cuda-core")]
    with without("pycuda"):
        seen += [kind(), refused(MissingDependencyError, open_device, provider="pycuda")]
    with without("cuda.", "pycuda"):
        seen.append(refused(MissingDependencyError, open_device))
    return seen


def test_the_provider_is_what_is_installed(rig: Rig) -> None:
    core, pycuda = "CudaCoreDevice", "PycudaDevice"
    found = rig.run(providers).value
    assert found[:3] == [core, core, pycuda]
    assert found[3] == "provider='cupy'; it is one of auto, cuda-core, pycuda"
    assert found[4] == pycuda
    assert "pip install 'cnnrnn[cuda13]'" in found[5]
    assert found[6] == core
    assert "pip install 'cnnrnn[pycuda]'" in found[7]
    assert found[8].startswith("Neither cuda.core nor pycuda is installed")
    assert "'cnnrnn[cuda13]'" in found[8]
    assert "'cnnrnn[pycuda]'" in found[8]


def test_a_machine_without_a_driver() -> None:
    """pycuda is linked with it, so that its import fails."""
    found = subprocess.run(
        [sys.executable, "-c", _WITHOUT_A_DRIVER], capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "LD_LIBRARY_PATH": ""},
    )  # fmt: skip
    assert found.stdout.startswith("NoDeviceError GPU 0 cannot be used: there is no driver (libcuda.so.1"), (
        found
    )


_WITHOUT_A_DRIVER = """
import sys
from tests.driver.build_pycuda import FOLDER
sys.path.append(str(FOLDER))
from cnnrnn.runtime.device import open_device
try:
    open_device(provider="pycuda")
except Exception as error:
    print(type(error).__name__, error)
"""


def test_nvrtc_compiles() -> None:
    code = compiler.compile_source(SOURCE, "sm_86", (13, 0))
    assert code.startswith(b"\x7fELF")
    with pytest.raises(RuntimeError, match=r"NVRTC_ERROR_COMPILATION: .*error: "):
        compiler.compile_source("extern nonsense", "sm_86", (13, 0))


def by_nvcc(folder: str) -> list[str]:
    """An nvcc that writes down what it is asked for, in the place of one that needs a toolkit."""
    asked, nvcc = Path(folder) / "asked", Path(folder) / "nvcc"
    nvcc.write_text(f'#!/bin/sh\necho "$@" > {asked}\nprintf cubin > kernel.cubin\n')
    nvcc.chmod(0o755)
    os.environ["PATH"] = folder + os.pathsep + os.environ["PATH"]
    compiler._nvrtc = lambda major: None  # type: ignore[assignment]
    return [compiler.compile_source(SOURCE, "sm_86", (13, 0)).decode(), asked.read_text()]


def test_nvcc_compiles_where_nvrtc_is_not(rig: Rig, tmp_path: Path) -> None:
    made, asked = rig.run(by_nvcc, str(tmp_path)).value
    assert made == "cubin"
    assert asked.startswith("--cubin --std=c++17 -arch sm_86")
    assert asked.endswith("kernel.cu\n")


def test_without_a_compiler_both_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "_nvrtc", lambda major: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    said = refused(MissingDependencyError, compiler.compile_source, SOURCE, "sm_86", (12, 6))
    assert said.startswith("pycuda has no compiler for kernels: neither NVRTC of CUDA 12 (libnvrtc) nor nvcc")
    assert "pip install nvidia-cuda-nvrtc-cu12" in said
