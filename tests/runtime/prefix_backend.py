"""A backend whose decoder is any function of the prefix, and whose select graph is the real one."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnxruntime as ort

from cnnrnn.runtime.backend import Encoded, Stepped
from cnnrnn.runtime.select import SelectKind, make_select, select_spec
from tests.runtime.reference_search import StepModel


class PrefixBackend:
    """Its state is the prefix itself: (B, K, L) tokens, -1 where there is none yet."""

    name, precision = "prefix", "fp32"

    def __init__(self, models: list[StepModel], vocabulary: int, ends: int, longest: int) -> None:
        self.models, self.vocabulary, self.ends, self.longest = models, vocabulary, ends, longest
        self.first_step = True

    def encode(self, images, questions=None):
        prefix = np.full((len(images), self.longest + 1), -1, np.int32)
        return Encoded(memory={}, state={"prefix": prefix})

    def widen(self, state, beams):
        return {name: np.repeat(array[:, None], beams, axis=1) for name, array in state.items()}

    def step(self, tokens, parents, state, memory):
        prefix = np.take_along_axis(state["prefix"], parents[:, :, None], axis=1).copy()
        places = (prefix >= 0).sum(axis=2)
        np.put_along_axis(prefix, places[:, :, None], tokens[:, :, None], axis=2)
        batch, beams = tokens.shape
        logits = np.stack(
            [
                np.stack([self.models[image](_words(prefix[image, beam])) for beam in range(beams)])
                for image in range(batch)
            ]
        )
        alignment = prefix[:, :, :3].astype(np.float32)
        return Stepped(logits, {"prefix": prefix}, alignment)

    def select(self, kind, inputs):
        names = [tensor.name for tensor in select_spec("", kind).outputs]
        return dict(zip(names, session_of(kind).run(names, inputs), strict=True))

    def prepare(self, kind):
        session_of(kind)

    def from_host(self, array):
        return array

    def to_host(self, tensor):
        return np.array(tensor)

    def close(self):
        """Sessions are kept: every test that needs one of a kind has the same."""


@cache
def session_of(kind: SelectKind) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(make_select(kind), options, providers=["CPUExecutionProvider"])


def _words(prefix: np.ndarray) -> tuple[int, ...]:
    """The prefix without the start token, which is 0 and stands first."""
    return tuple(int(token) for token in prefix[1:] if token >= 0)
