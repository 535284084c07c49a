"""Whole searches of a shipped bundle by the loop on a device, beside the backend ``ort-cpu``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnrnn.core.bundle import Bundle
from cnnrnn.core.samples import package_data, pictures_in
from cnnrnn.core.search import SearchOptions
from cnnrnn.runtime import search_inputs
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.device import Device, Stream, open_device
from cnnrnn.runtime.device.loop import DeviceLoop, Rows
from cnnrnn.runtime.device.loop_memory import LoopTensors
from cnnrnn.runtime.engine.bucket import input_shapes, output_shapes
from cnnrnn.runtime.image import fit, read_image
from cnnrnn.runtime.loop import History, decode
from cnnrnn.runtime.ort_cpu import Graphs, OrtCpuBackend
from cnnrnn.runtime.search_inputs import SpecialTokens
from cnnrnn.runtime.select import POOL, SelectKind, make_select, select_spec
from tests.device.loop_kernels import emulate_all
from tests.device.ort_engines import OrtEngines

ROW = ("tokens", "parents", "scores", *POOL, "done")


@dataclass(frozen=True)
class Question:
    """What is searched for: the first pictures of the shipped samples, and the options."""

    pictures: int
    options: SearchOptions

    @property
    def images(self) -> NDArray[np.uint8]:
        """(B, H, W, 3)."""
        bundle = Bundle.open("emoji")
        paths = pictures_in(package_data("samples") / "demo")[: self.pictures]
        return np.stack([fit(read_image(path), bundle.manifest.image) for path in paths])


class Search:
    """The bundle's graphs, on the CPU and behind a loop on a device."""

    def __init__(self, question: Question) -> None:
        self.question = question
        bundle = Bundle.open("emoji")
        self._bundle, self._words = bundle, bundle.manifest.vocabulary
        self.special = SpecialTokens(self._words.start, tuple(self._words.end))
        self.backend = OrtCpuBackend(Graphs.of(bundle, "fp32"), threads=1)
        ends = len(self.special.end)
        self.kind = SelectKind.of(question.options, end_count=ends, vocabulary=self._words.size)

    def on_the_cpu(self) -> History:
        """As the backend ``ort-cpu`` searches."""
        return decode(self.backend, self.question.images, self.question.options, self.special, Clock())

    def tensors(self) -> tuple[LoopTensors, dict[str, NDArray[Any]], OrtEngines]:
        """What a loop needs, the tensors of the first step, and the engines."""
        images, options = self.question.images, self.question.options
        step = self._bundle.manifest.precisions["fp32"]["step"]
        select = select_spec("select.onnx", self.kind)
        batch = len(images)
        state, constants = search_inputs.start(self.kind, batch, options, self.special, self._words.size)
        letters = self._letters(batch, state | constants)
        encoded = self.backend.encode(images)
        arrays = dict(state) | constants
        arrays["tokens"] = np.full((batch, options.beams), self.special.start, np.int32)
        arrays["parents"] = np.tile(np.arange(options.beams, dtype=np.int32), (batch, 1))
        host = self.backend.to_host
        arrays |= {f"memory_{name}": host(tensor) for name, tensor in encoded.memory.items()}
        widened = self.backend.widen(encoded.state, options.beams)
        arrays |= {f"state_{name}": host(tensor) for name, tensor in widened.items()}
        kinds = {name: (str(array.dtype), array.shape) for name, array in arrays.items()}
        shapes = input_shapes(step, letters) | input_shapes(select, letters)
        row = {name: kinds[name] for name in ROW}
        if "alignment" in (made := output_shapes(step, letters)):
            row["alignment"] = ("float32", made["alignment"])
        moving = [name for name in kinds if name.startswith("state_") or (name in state and name not in row)]
        still = [name for name in kinds if name not in row and name not in moving and name in shapes]
        loop = LoopTensors(
            row=row,
            state={name: kinds[name] for name in moving},
            constant={name: kinds[name] for name in still},
            logits=("float32", shapes["logits"]),
            limit=options.longest,
            what=f"{batch} images, {options.beams} beams",
        )
        graphs = [(step, self._bundle.graph(step.file)), (select, make_select(self.kind))]
        return loop, arrays, OrtEngines(graphs, letters)

    def _letters(self, images: int, arrays: Mapping[str, NDArray[Any]]) -> dict[str, int]:
        letters = {"B": images, "K": self.question.options.beams, "V": self._words.size}
        for tensor in select_spec("select.onnx", self.kind).inputs:
            if tensor.name in arrays:
                for letter, size in zip(tensor.shape, arrays[tensor.name].shape, strict=True):
                    if isinstance(letter, str):
                        letters[letter] = size
        return letters


@contextmanager
def looping(
    search: Search, way: str, provider: str = "auto"
) -> Iterator[tuple[Device, Stream, DeviceLoop, dict[str, NDArray[Any]]]]:
    """A loop for this search, and the tensors of its first step."""
    emulate_all()
    tensors, arrays, engines = search.tensors()
    with open_device(provider=provider) as device, device.current(), device.stream() as stream:
        loop = DeviceLoop(device, stream, tensors, engines, way)
        try:
            yield device, stream, loop, arrays
        finally:
            loop.close()


def differences(found: Rows, wanted: History) -> list[str]:
    """The fields that are not the same, to the last bit."""
    rows, batch, beams = found.rows, *wanted.tokens.shape[1:]
    last = {name: array[-1] for name, array in rows.items()}
    pool = np.moveaxis(last["finished"].reshape(batch, beams, 3), -1, 0)
    pairs = {
        "steps": (np.array(found.steps), np.array(len(wanted.tokens))),
        "tokens": (rows["tokens"], wanted.tokens),
        "parents": (rows["parents"], wanted.parents),
        "scores": (rows["scores"], wanted.scores),
        "finished_scores": (last["finished_scores"], wanted.finished_scores),
        "finished_logprobs": (last["finished_logprobs"], wanted.finished_logprobs),
        "finished_beams": (pool[0], wanted.finished_beams),
        "finished_steps": (pool[1], wanted.finished_steps),
        "finished_tokens": (pool[2], wanted.finished_tokens),
        "done": (last["done"][:, 0] > 0, wanted.done),
    }
    if wanted.alignments is not None:
        pairs["alignments"] = (rows["alignment"], wanted.alignments)
    return [name for name, (one, other) in pairs.items() if not np.array_equal(one, other)]
