"""Runs functions over the stand-in driver, each in a process of its own: started by `tests.driver.rig`.

A driver is started once in a process and stays as the last function left it, and a function under test may
end its process. So this process imports what is slow to import, touches no driver, and is forked for each
request: a line of JSON on standard input, answered by one on standard output. What else many functions of a
module need, and what touches no driver either, its function `before_the_forks` makes, once.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import importlib
import json
import os
import resource
import signal
import sys
import tempfile
import traceback
from functools import cache
from pathlib import Path
from typing import Any

from cnnrnn.runtime.device.cuda_core import device
from tests.driver import inside

_IMPORTED_AHEAD = (
    "numpy",
    "cuda.core",
    "pycuda.driver",
    "pycuda.compiler",
    "onnx",
    "onnxruntime",
    "cv2",
    "tokenizers",
    "cnnrnn.runtime.model",
    "pytest",
)


def serve() -> None:
    """Answer until standard input ends."""
    sys.path.append(os.environ["STANDIN_PYCUDA"])  # behind the environment's own
    for name in _IMPORTED_AHEAD:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_answer(json.loads(line))) + "\n")
        sys.stdout.flush()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    with contextlib.suppress(Exception):  # what is wrong with it is told by the child
        _prepare(request["function"].partition(":")[0])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        child = os.fork()
        if child == 0:
            _run(request, folder)
        _, status = os.waitpid(child, 0)
        files = {path.stem: path.read_text(errors="replace") for path in folder.iterdir()}
    report = json.loads(files.pop("report", "{}"))
    return report | files | {"returncode": os.waitstatus_to_exitcode(status)}


@cache
def _prepare(module: str) -> None:
    getattr(importlib.import_module(module), "before_the_forks", int)()
    gc.collect()
    gc.freeze()  # or each child would look through all that, and so copy it


def _run(request: dict[str, Any], folder: Path) -> None:
    """In the child: it ends here, whatever happens, and never returns to the loop above."""
    code = 1
    try:
        signal.alarm(request["timeout_s"])
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for number in (1, 2):
            os.dup2(os.open(folder / {1: "stdout", 2: "stderr"}[number], os.O_CREAT | os.O_WRONLY), number)
        compile_once(Path(os.environ["STANDIN_CUBINS"]))
        (folder / "report").write_text(json.dumps(_called(request)))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def compile_once(folder: Path) -> None:
    """Keep what ``cuda.core`` compiles for the next process: NVRTC takes longer than most that is tested."""
    with contextlib.suppress(ImportError):
        from cuda.core import ObjectCode

        compiled = device.compile_source

        def from_before(core: Any, source: str, arch: str) -> Any:
            path = folder / f"{hashlib.sha256(f'{arch} {source}'.encode()).hexdigest()}.cubin"
            if not path.exists():
                code = compiled(core, source, arch)
                partial = path.with_suffix(f".{os.getpid()}")
                partial.write_bytes(code.code)
                partial.replace(path)
                return code
            return ObjectCode.from_cubin(path.read_bytes())

        device.compile_source = from_before


def _called(request: dict[str, Any]) -> dict[str, Any]:
    module, _, name = request["function"].partition(":")
    value, error = None, None
    try:
        value = getattr(importlib.import_module(module), name)(*request["arguments"])
    except Exception as raised:
        traceback.print_exc()
        error = f"{type(raised).__name__}: {raised}"
    gc.collect()  # what an exception's own frames kept is no leak
    return {
        "value": value,
        "error": error,
        "calls": inside.lines(inside.Lines.CALLS),
        "runs": inside.lines(inside.Lines.RUNS),
        "reports": inside.lines(inside.Lines.REPORTS),
        "counts": inside.counts(),
        "alive": inside.alive(),
    }


if __name__ == "__main__":
    serve()
