"""The check `frames`: a frame that is on the device already is captioned as the same frame on the host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.gpu_check.loops import engines_here
from benchmarks.gpu_check.notes import FailedError, MissingError, Notes, Setting
from benchmarks.gpu_check.place import (
    driver_counts,
    driver_reports,
    forget,
    missing,
    model,
    pictures,
    prepare,
)
from cnnrnn.core.errors import ImageError
from cnnrnn.runtime.device import open_device
from cnnrnn.runtime.image import fit, read_image

Picture = NDArray[np.uint8]

# Of a type that is no picture.
_REFUSED = "cannot be read as a picture"


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
    """A frame of each library that is here."""
    backend = engines_here(setting, "launch")
    notes.note(backend=backend)
    same: dict[str, bool] = {}
    with model(setting, backend) as captioner, ExitStack() as opened:
        (path,) = pictures(1)
        picture = np.ascontiguousarray(fit(read_image(path), captioner.manifest.image))
        wanted = captioner(picture, color="rgb")
        for library, frame in _frames(setting, picture, opened):
            if setting.stand_in:
                forget()
            try:
                found = captioner(frame, color="rgb")
            except ImageError as error:
                if _REFUSED not in str(error):
                    raise
                raise MissingError(f"this version of cnnrnn takes no frames of a device: {error}") from error
            same[library] = found.tokens == wanted.tokens
            notes.note(same=same)
            if setting.stand_in:
                notes.note(host_to_device_bytes=driver_counts()["host_to_device_bytes"])
    notes.note(summary=f"{backend}: {wanted.text!r} of frames by {', '.join(same)}")
    different = [library for library, alike in same.items() if not alike]
    problems = [f"another answer for a frame of {', '.join(different)}"] if different else []
    if setting.stand_in:
        problems += driver_reports()
    if problems:
        raise FailedError("; ".join(problems))


def _frames(setting: Setting, picture: Picture, opened: ExitStack) -> Iterator[tuple[str, Any]]:
    """The picture on the device, by the device layer itself, PyTorch, CuPy and pycuda."""
    yield "cuda_array_interface", _own(setting, picture, opened)
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
