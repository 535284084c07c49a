"""The check `frames`: a frame that is on the device already is captioned as the same frame on the host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.gpu_check.loops import engines_here
from benchmarks.gpu_check.notes import FailedError, Notes, Setting
from benchmarks.gpu_check.place import (
    driver_counts,
    driver_reports,
    forget,
    missing,
    missing_provider,
    model,
    pictures,
    prepare,
)
from cnnrnn.runtime.device import open_device
from cnnrnn.runtime.image import fit, read_image

Picture = NDArray[np.uint8]


class Frame:
    """Device memory as an array (H, W, 3) of uint8, by the interface that all libraries share."""

    def __init__(self, address: int, shape: tuple[int, ...], stream: int) -> None:
        self.__cuda_array_interface__ = {
            "version": 3,
            "shape": shape,
            "typestr": "|u1",
            "data": (address, False),
            "strides": None,
            "stream": stream,
        }


def frames(setting: Setting, notes: Notes) -> None:
    """A frame of each library that is here: of the encoder's size, and larger."""
    backend = engines_here(setting, "launch")
    notes.note(backend=backend)
    same: dict[str, bool] = {}
    crossed: dict[str, int] = {}
    with model(setting, backend) as captioner, ExitStack() as opened:
        (path,) = pictures(1)
        larger = np.ascontiguousarray(read_image(path))
        fitted = fit(larger, captioner.manifest.image)
        for size, picture in (("fitted", fitted), ("larger", larger)):
            wanted = captioner(picture, color="rgb")
            for library, frame in _frames(setting, picture, opened):
                if setting.stand_in:
                    forget()
                found = captioner(frame, color="rgb")
                same[f"{library}, {size}"] = found.tokens == wanted.tokens
                if setting.stand_in:
                    crossed[f"{library}, {size}"] = driver_counts()["host_to_device_bytes"]
    notes.note(same=same, host_to_device_bytes=crossed)
    notes.note(summary=f"{backend}: {wanted.text!r} of frames by {'; '.join(same)}")
    different = [library for library, alike in same.items() if not alike]
    problems = [f"another answer for a frame of {', '.join(different)}"] if different else []
    copied = [library for library, count in crossed.items() if count >= fitted.nbytes]
    problems += [f"a frame of {', '.join(copied)} crossed over the host"] if copied else []
    if setting.stand_in:
        problems += driver_reports()
    if problems:
        raise FailedError("; ".join(problems))


def _frames(setting: Setting, picture: Picture, opened: ExitStack) -> Iterator[tuple[str, Any]]:
    """The picture on the device, by the device layer itself, PyTorch, CuPy and pycuda."""
    yield "cuda_array_interface", _own(setting, picture, opened)
    if not missing_provider(setting, "pycuda"):
        yield "pycuda", _pycudas(setting, picture, opened)
    if setting.stand_in:
        return
    if not missing("torch"):
        import torch

        if torch.cuda.is_available():
            yield "torch", torch.from_numpy(picture).cuda()
    try:
        import cupy  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return
    yield "cupy", cupy.asarray(picture)


def _own(setting: Setting, picture: Picture, opened: ExitStack) -> Frame:
    prepare(setting)
    device = opened.enter_context(open_device())
    opened.enter_context(device.current())
    stream = opened.enter_context(device.stream())
    memory = opened.enter_context(device.allocate(picture.nbytes, stream, what="a frame"))
    with device.pinned(picture.nbytes) as host:
        host.array(np.uint8, picture.shape)[...] = picture
        stream.copy(memory, host)
        stream.synchronize()
    return Frame(memory.address, picture.shape, stream.handle)


def _pycudas(setting: Setting, picture: Picture, opened: ExitStack) -> Any:
    prepare(setting, "pycuda")
    device = opened.enter_context(open_device(provider="pycuda"))
    with device.current():
        from pycuda import gpuarray  # type: ignore[import-not-found,unused-ignore]

        array = gpuarray.to_gpu(picture)

    def free() -> None:
        with device.current():
            array.gpudata.free()

    opened.callback(free)
    return array
