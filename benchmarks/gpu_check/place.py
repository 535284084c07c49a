"""Where the checks run: on a GPU, or over the stand-in driver; a check asks for a model and need not know.

Over the stand-in driver the device layer is the real one, and the engines are doubles of TensorRT and of ONNX
Runtime's CUDA provider that compute on the host (`tests/device`).
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import cnnrnn
from benchmarks.gpu_check.notes import Setting
from benchmarks.gpu_check.processes import ROOT
from cnnrnn.core.samples import sample_pictures
from cnnrnn.runtime.device.options import DeviceOptions

BUNDLE = "emoji"
ENGINES = ("tensorrt-rtx", "tensorrt")  # whose work can be captured in a graph
BACKENDS = (*ENGINES, "ort-cuda")

_INSTALL = {
    "cuda.core": "pip install 'cnnrnn[cuda13]' (or cuda12: the driver's CUDA)",
    "pycuda": "pip install 'cnnrnn[pycuda]'",
    "tensorrt": "pip install 'cnnrnn[tensorrt]' (on a Jetson, JetPack brings it)",
    "tensorrt_rtx": "pip install 'cnnrnn[tensorrt-rtx]'",
    "onnxruntime": "pip install 'cnnrnn[gpu]'",
    "torch": "pip install 'cnnrnn[train]'",
    "torchvision": "pip install 'cnnrnn[train]'",
    "onnx": "pip install 'cnnrnn[export]'",
    "onnxscript": "pip install 'cnnrnn[export]'",
}
# Modules that serve in the place of others.
_ALSO = {"tensorrt": ("tensorrt_bindings",), "tensorrt_rtx": ("tensorrt_rtx_bindings",)}
# Backends whose doubles this process has.
_doubled: set[str] = set()
_OF_BACKEND = {"tensorrt-rtx": "tensorrt_rtx", "tensorrt": "tensorrt", "ort-cuda": "onnxruntime"}


def missing(*modules: str) -> str:
    """What of these is not installed, with the command for it; empty where all are."""
    absent = [name for name in modules if not any(map(_there, (name, *_ALSO.get(name, ()))))]
    return "; ".join(f"{name} is not installed: {_INSTALL[name]}" for name in absent)


def missing_for(backend: str) -> str:
    """What a backend lacks, as `missing`."""
    return missing("cuda.core", _OF_BACKEND[backend])


def stand_in_missing() -> str:
    """Why there is no stand-in driver; empty where it can be built and used."""
    if not (ROOT / "tests" / "driver" / "standin").is_dir():
        return "there is no folder tests here, which has the stand-in driver: run it in the repository"
    from tests.driver.build import missing as unbuildable

    return unbuildable() or missing("cuda.core", "onnxruntime")


def build_stand_in(folder: Path) -> str:
    """Build the stand-in driver; its folder."""
    from tests.driver.build import build

    return str(build(folder))


def missing_provider(setting: Setting, provider: str) -> str:
    """What a provider of the device layer lacks, as `missing`."""
    module = {"cuda-core": "cuda.core", "pycuda": "pycuda"}[provider]
    lacks = missing(module)
    if lacks and provider == "pycuda" and setting.stand_in:
        from tests.driver.build_pycuda import FOLDER

        return "" if (FOLDER / module).is_dir() else f"{lacks}, or make pycuda, for the tests"
    return lacks


def prepare(setting: Setting, provider: str = "auto") -> None:
    """What a process needs before it opens a device: nothing, but over the stand-in driver."""
    if not setting.stand_in:
        return
    from tests.driver.server import compile_once

    compile_once(Path(setting.driver))
    if provider == "pycuda":
        from tests.driver.build_pycuda import FOLDER

        sys.path.append(str(FOLDER))  # behind the environment's own


def pictures(count: int) -> list[str]:
    """The first of the shipped samples."""
    return [str(path) for path in sample_pictures()[:count]]


def model(
    setting: Setting,
    backend: str,
    *,
    bundle: str | Path = BUNDLE,
    precision: str = "fp32",
    loop: str = "auto",
    provider: str = "auto",
) -> cnnrnn.Model:
    """A bundle on the device of this run.

    Raises:
        CnnrnnError: as `cnnrnn.load`.
    """
    if setting.stand_in:
        if not _doubled:
            prepare(setting, provider)
        _double(backend)
    elif backend == "ort-cuda":
        _find_cuda_libraries()
    options = DeviceOptions(loop=loop, provider=provider)
    return cnnrnn.load(bundle, backend=backend, precision=precision, device=options)


def driver_counts() -> dict[str, int]:
    """What the stand-in driver itself counted since the last `forget`."""
    from tests.driver import inside

    return inside.counts()


def driver_runs() -> list[str]:
    """The work that it carried out since then, in order: the names of kernels and engines, and ``copy``."""
    from tests.driver import inside

    return inside.lines(inside.Lines.RUNS)


def driver_reports() -> list[str]:
    """What it saw that should not be: races, and memory that was used by what did not own it."""
    from tests.driver import inside

    return inside.lines(inside.Lines.REPORTS)


def forget() -> None:
    """Let it begin its counts and lists anew."""
    from tests.driver import inside

    inside.reset()


def _double(backend: str) -> None:
    """Let this process find the double of what a backend runs on."""
    from tests.device import ort_double, tensorrt_double
    from tests.device.loop_kernels import emulate_all
    from tests.engine.rigs import bindings
    from tests.engine.rigs.surface import RTX

    if backend in _doubled:
        return
    _doubled.add(backend)
    emulate_all()
    if backend == "ort-cuda":
        ort_double.install()
    else:
        tensorrt_double.install(RTX if backend == "tensorrt-rtx" else bindings.VERSIONS[-1])


def _find_cuda_libraries() -> None:
    """ONNX Runtime finds the libraries of pip's own nvidia packages only if it is told to look for them."""
    import onnxruntime

    if hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()


def _there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of the parent
        return False


def command(name: str) -> str:
    """The path of a program; empty where it is not installed."""
    return shutil.which(name) or ""
