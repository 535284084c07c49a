"""Where TensorRT's Python bindings of each version are, and how they are run in a process of their own.

`make test` puts each version of ``bindings.txt`` into ``tensorrt/VERSION`` under the environment. A process
that imports one needs libraries of the names it was linked to, and those must not reach this process: hence
the folders of `stub_aliases` and `rtx_aliases`, and the variables of `environment`.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import sys
from pathlib import Path

from tests.engine.rigs.stub_library import TENSORRT_FUNCTIONS, write_stub

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
VERSIONS = tuple(
    line.partition("==")[2].strip()
    for line in (HERE / "bindings.txt").read_text().splitlines()
    if "==" in line and not line.startswith("#")
)
# The version that builds over TensorRT-RTX's library: what it asks of a library is what that one has.
BUILDING = "11.4.0.106"
REQUIRED = "CNNRNN_REQUIRE_ENGINES"
_LIBRARIES = ("libnvinfer", "libnvonnxparser", "libnvinfer_plugin")


def absent(reason: str) -> None:
    """Skip the test, or fail it where the engines are said to be there.

    Raises:
        Skipped, or Failed where CNNRNN_REQUIRE_ENGINES is set.
    """
    import pytest  # here, for the processes that run no tests

    if os.environ.get(REQUIRED, "") not in ("", "0"):
        pytest.fail(f"{REQUIRED} is set, and {reason}", pytrace=False)
    pytest.skip(reason)


def folder(version: str) -> Path:
    """Where the bindings of this version are; skips, or fails, where they are not."""
    found = Path(sys.prefix) / "tensorrt" / version
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        absent(f"TensorRT's bindings are tried on Linux x86-64, and this is {platform.platform()}")
    if not (found / "tensorrt_bindings").is_dir():
        absent(f"TensorRT {version}'s bindings are not in {found}; `make engine-bindings` puts them there")
    return found


def rtx_libraries() -> Path:
    """The folder of TensorRT-RTX's libraries; skips, or fails, where they are not installed."""
    spec = importlib.util.find_spec("tensorrt_rtx_libs")
    if spec is None or not spec.submodule_search_locations:
        absent("TensorRT-RTX is not installed: pip install tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations)))


def stub_aliases(target: Path) -> Path:
    """Fill a folder with stand-ins of TensorRT 10's and 11's libraries: bindings import and build nothing."""
    target.mkdir(parents=True, exist_ok=True)
    for library in _LIBRARIES:
        for major in (10, 11):
            write_stub(target / f"{library}.so.{major}", TENSORRT_FUNCTIONS)
    return target


def rtx_aliases(target: Path) -> Path:
    """Fill a folder with TensorRT-RTX's libraries under the names that the 11.4 bindings load."""
    libraries = rtx_libraries()
    target.mkdir(parents=True, exist_ok=True)
    (target / "libnvinfer.so.11").symlink_to(libraries / "libtensorrt_rtx.so.1")
    (target / "libnvonnxparser.so.11").symlink_to(libraries / "libtensorrt_onnxparser_rtx.so.1")
    (target / "libtensorrt_rtx.so.1").symlink_to(libraries / "libtensorrt_rtx.so.1")
    parser_version = int(BUILDING.split(".")[0]) * 10000 + int(BUILDING.split(".")[1]) * 100
    write_stub(
        target / "libnvinfer_plugin.so.11",
        {"initLibNvInferPlugins": 1, "getNvOnnxParserVersion": parser_version},
    )
    return target


def environment(version: str, aliases: Path) -> dict[str, str]:
    """The variables of a process in which these bindings are found, over the libraries of ``aliases``."""
    paths = (str(folder(version)), str(ROOT))
    return {"LD_LIBRARY_PATH": str(aliases), "PYTHONPATH": os.pathsep.join(paths)}


def run(
    version: str, aliases: Path, *arguments: str, variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run this Python with the bindings of a version, and wait at most two minutes."""
    return run_plain(*arguments, variables={**environment(version, aliases), **(variables or {})})


def run_plain(*arguments: str, variables: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run this Python in a process of its own, and wait at most two minutes."""
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **(variables or {})},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
