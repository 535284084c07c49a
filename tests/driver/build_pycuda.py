"""Builds pycuda for the tests of its provider: ``python -m tests.driver.build_pycuda``.

pycuda's own build takes minutes: 40 files, each with the same large headers, and optimised. Here they are
one file, and not optimised, which takes half a minute of one processor. What the tests do not touch is left
out (cuRAND, OpenGL). It is linked with a driver that has nothing in it, as no driver is here; the one that it
runs on is looked for when it starts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

import numpy as np

from tests.driver.build import headers, missing

HERE = Path(__file__).parent
PINS = HERE / "pycuda.txt"
VERSION = next(
    line.partition("==")[2].strip() for line in PINS.read_text().splitlines() if line.startswith("pycuda==")
)
FOLDER = Path(sys.prefix) / "pycuda" / VERSION

# Of a toolkit alone, and no wheel of headers has it.
_PROFILER = """#include <cuda.h>
typedef enum { CU_OUT_KEY_VALUE_PAIR = 0, CU_OUT_CSV = 1 } CUoutput_mode;
extern "C" {
CUresult cuProfilerInitialize(const char *, const char *, CUoutput_mode);
CUresult cuProfilerStart(void);
CUresult cuProfilerStop(void);
}
"""
# The one of its files that NumPy's interface is defined in comes first.
_FIRST = "src/wrapper/wrap_cudadrv.cpp"
_OTHERS = ("src/cpp/cuda.cpp", "src/cpp/bitlog.cpp", "src/wrapper/mempool.cpp")
_LIBRARIES = "bpl-subset/bpl_subset/libs"


class BuildError(Exception):
    """Why it cannot be built here."""


def unbuildable() -> str:
    """Why pycuda cannot be built here, as far as that can be told before; empty where it may."""
    if missing():
        return missing()
    if shutil.which("g++") is None:
        return "g++ is not installed, which builds it"
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        return "Python.h is not installed (on Debian and Ubuntu: python3-dev)"
    return ""


def build(folder: Path) -> None:
    """Build the pinned pycuda into a folder, with what it needs, for ``sys.path``.

    Raises:
        BuildError: it cannot be had or built.
    """
    if unbuildable():
        raise BuildError(unbuildable())
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        scratch = Path(name)
        _pip("download", "--no-deps", "--no-binary", ":all:", "--dest", str(scratch), f"pycuda=={VERSION}")
        with tarfile.open(next(scratch.glob("pycuda-*.tar.gz"))) as archive:
            archive.extractall(scratch, filter="data")
        sources = scratch / f"pycuda-{VERSION}"
        _join(sources)
        _configure(sources, scratch)
        made, needed = scratch / "made", [line for line in PINS.read_text().splitlines() if "==" in line]
        _pip("install", "--no-deps", "--target", str(made), str(sources), *needed[1:])
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)


def _join(sources: Path) -> None:
    """Make one file of all that the module is built from; the others stay, and are empty."""
    joined = [_read_away(sources / name) for name in (_FIRST, *_OTHERS)]
    for path in sorted((sources / _LIBRARIES).rglob("*.cpp")):
        relative = path.relative_to(sources / _LIBRARIES)
        # pycuda's own list: of the threads, what is for POSIX.
        if relative.parts[0] != "thread" or "pthread" in relative.parts:
            joined.append(path)
    kept = [path.rename(path.with_suffix(".inc")) if path.suffix == ".cpp" else path for path in joined]
    (sources / _FIRST).write_text("".join(f'#include "{path}"\n' for path in kept))


def _read_away(path: Path) -> Path:
    """The file under another name, and an empty one in its place."""
    moved = path.rename(path.with_suffix(".inc"))
    path.touch()
    return moved


def _configure(sources: Path, scratch: Path) -> None:
    library = scratch / "libcuda.so"
    _run(["gcc", "-shared", "-Wl,-soname,libcuda.so.1", "-x", "c", os.devnull, "-o", str(library)])
    (scratch / "cudaProfiler.h").write_text(_PROFILER)
    settings = {
        "USE_SHIPPED_BOOST": True,
        "BOOST_INC_DIR": [],
        "BOOST_LIB_DIR": [],
        "CUDA_ROOT": "",
        "CUDA_INC_DIR": [str(headers()), np.get_include(), str(scratch)],
        "CUDA_ENABLE_GL": False,
        "CUDA_ENABLE_CURAND": False,
        "CUDADRV_LIB_DIR": [str(scratch)],
        "CUDADRV_LIBNAME": ["cuda"],
        "CXXFLAGS": ["-O0", "-g0", "-w"],
        "LDFLAGS": ["-Wl,--strip-all"],
    }
    (sources / "siteconf.py").write_text("".join(f"{name} = {value!r}\n" for name, value in settings.items()))


def _pip(command: str, *arguments: str) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    _run([*pip, command, "--quiet", "--no-build-isolation", *arguments])


def _run(command: list[str]) -> None:
    # A library that has none of the names is linked all the same.
    variables = {**os.environ, "LDFLAGS": f"{os.environ.get('LDFLAGS', '')} -Wl,--no-as-needed"}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        found = [[line for line in said if mark in line] for mark in ("fatal error:", ": error:", "ERROR: ")]
        wrong = next((lines for lines in found if lines), said)
        raise BuildError(wrong[0] if wrong else f"{command[0]} ended with {done.returncode}")


if __name__ == "__main__":
    if not (FOLDER / "pycuda").is_dir():
        try:
            build(FOLDER)
        except BuildError as error:
            sys.exit(f"pycuda {VERSION} cannot be had here, so its tests are skipped: {error}")
