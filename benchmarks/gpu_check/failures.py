"""The checks `failures`: no memory is an error, a damaged engine is built again; what follows is right."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.gpu_check.loops import differences, engines_here
from benchmarks.gpu_check.notes import FailedError, Notes, Setting, SkippedError
from benchmarks.gpu_check.parity import answers
from benchmarks.gpu_check.place import ENGINES, driver_reports, model, pictures
from cnnrnn.core.errors import CnnrnnError, DeviceMemoryError, EngineError
from cnnrnn.runtime.device import open_device
from cnnrnn.runtime.device.tensorrt import TensorRtEngine
from cnnrnn.runtime.engine.cache import EngineCache
from cnnrnn.runtime.engine.library import load_library
from cnnrnn.runtime.engine.log import listening
from cnnrnn.runtime.result import Result

# Searches of this size need more than what cannot be taken from a GPU.
LARGE_BATCH, LARGE_BEAMS = 16, 32
_SMALL_BATCH = 4  # over the stand-in driver, from which nearly all can be taken
MIB = 2**20
_CHUNKS_MIB = (4096, 256, 32, 4, 2, 1)
_LARGE_BYTES = 64 * MIB
_STAND_IN_MEMORY_BYTES = 256 * MIB


def memory(setting: Setting, notes: Notes) -> None:
    """A search for which there is no memory, since another has it all; then the same one with memory."""
    if setting.stand_in:
        os.environ["STANDIN_MEMORY_BYTES"] = str(_STAND_IN_MEMORY_BYTES)
    backend = engines_here(setting, "launch")
    wanted = answers(setting)[: _SMALL_BATCH if setting.stand_in else LARGE_BATCH]
    images = pictures(len(wanted))
    notes.note(backend=backend)
    with model(setting, backend) as captioner:  # which has the engines made, while there is memory
        large = captioner(images, beams=LARGE_BEAMS)
        runner: Any = captioner._backend
        need_bytes = runner.memory(len(images), LARGE_BEAMS).device_bytes
    with model(setting, backend) as captioner:
        before = captioner(images[0])
        said = ""
        with _all_memory() if setting.stand_in else _all_memory_elsewhere() as left_bytes:
            notes.note(left_bytes=left_bytes, need_bytes=need_bytes)
            try:
                captioner(images, beams=LARGE_BEAMS)
            except CnnrnnError as error:
                said = f"{type(error).__name__}: {error}"
                notes.note(error=said, has_numbers=isinstance(error, DeviceMemoryError))
        after = captioner(images)
        again = captioner(images, beams=LARGE_BEAMS)
    notes.note(answered_afterwards=True)
    last = _with_what_was_given_back(setting, backend, images)
    notes.note(answered_with_what_was_given_back=True)
    problems = [*differences([before], wanted[:1]), *differences(after, wanted)]
    if not said and left_bytes < need_bytes:
        problems.append(f"it was answered with {left_bytes} bytes, though it needs {need_bytes}")
    tokens = [[result.tokens for result in results] for results in (large, again, last)]
    if tokens[1:] != [tokens[0]] * 2:
        problems.append("the search is answered otherwise afterwards")
    if setting.stand_in:
        problems += driver_reports()
    notes.note(summary=f"{backend}: {said[:160]}; then the same search is answered")
    if problems:
        raise FailedError("; ".join(problems))
    if not said:
        raise SkippedError(f"{left_bytes} bytes could not be taken away, and it needs {need_bytes} alone")


def _with_what_was_given_back(setting: Setting, backend: str, images: list[str]) -> list[Result]:
    """The same search after this process itself has taken all memory and given it back.

    Raises:
        FailedError: the memory is not there again.
    """
    with _all_memory():
        pass
    try:
        with model(setting, backend) as captioner:
            return captioner(images, beams=LARGE_BEAMS)
    except CnnrnnError as error:
        raise FailedError(f"what was taken and given back here is not there again: {error}") from error


def engine(setting: Setting, notes: Notes) -> None:
    """Every engine of a copy of the cache is damaged: each is built again. Rubbish is refused by TensorRT."""
    backend = engines_here(setting, "while")
    assert backend in ENGINES
    wanted = answers(setting)[:1]
    folder = setting.work / "damaged"
    shutil.copytree(EngineCache().folder, folder, ignore=_large)
    damaged = [_damage(path) for path in folder.glob("*.engine")]
    os.environ["CNNRNN_CACHE"] = str(folder)
    notes.note(backend=backend, damaged=len(damaged))
    refused = [entry for entry in EngineCache().entries() if entry.kind == "engine" and entry.stale]
    with model(setting, backend) as captioner:
        result = captioner(pictures(1)[0])
    still = [entry for entry in EngineCache().entries() if entry.kind == "engine" and entry.stale]
    notes.note(refused=len(refused), built_again=len(refused) - len(still), rubbish=_rubbish(backend))
    notes.note(
        summary=f"{backend}: {len(damaged)} damaged engines, {len(refused)} refused, "
        f"{len(refused) - len(still)} that were needed built again"
    )
    problems = differences([result], wanted)
    if not damaged or len(refused) != len(damaged) or len(still) >= len(refused):
        problems.append(f"of {len(damaged)} damaged engines {len(refused)} were refused, {len(still)} stayed")
    if problems:
        raise FailedError("; ".join(problems))


def _large(folder: str, names: list[str]) -> list[str]:
    """What an earlier run left of the captioner that is timed is not copied."""
    return [name for name in names if Path(folder, name).stat().st_size > _LARGE_BYTES]


def _damage(path: Path) -> Path:
    """Turn one byte in its middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    return path


def _rubbish(backend: str) -> str:
    """What TensorRT's runtime says of bytes that are no engine.

    Raises:
        FailedError: it took them.
    """
    library = load_library(backend)
    with listening(library.module) as (logger, _):
        runtime = library.module.Runtime(logger)
        try:
            TensorRtEngine(library, runtime, bytes(range(256)) * 64, "rubbish")
        except EngineError as error:
            return str(error)
    raise FailedError("TensorRT took bytes for an engine that are none")


@contextmanager
def _all_memory() -> Iterator[int]:
    """Take what the device has, for as long as the block lasts, and give it back; the bytes that are left."""
    with ExitStack() as taken:
        device = taken.enter_context(open_device())
        taken.enter_context(device.current())
        stream = taken.enter_context(device.stream())
        for chunk in _CHUNKS_MIB:
            while True:
                try:
                    buffer = device.allocate(chunk * MIB, stream, what="all there is")
                except DeviceMemoryError:
                    break
                taken.enter_context(buffer)
        stream.synchronize()
        yield device.free_bytes()


@contextmanager
def _all_memory_elsewhere() -> Iterator[int]:
    """As `_all_memory`, by a process of its own."""
    command = [sys.executable, "-m", "benchmarks.gpu_check.failures"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        said = process.stdout.readline()
        if not said.strip().isdigit():
            raise FailedError(f"a process that was to take the device's memory ended: {said}")
        yield int(said)
        process.stdin.close()  # which ends it


def _hold() -> None:
    """Take all memory, say what is left, and keep it until standard input ends."""
    with _all_memory() as left_bytes:
        print(left_bytes, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    _hold()
