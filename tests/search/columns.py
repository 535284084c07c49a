"""The search along columns as it runs: loop, select graph and back-trace, over logits that are given."""

from __future__ import annotations

import numpy as np

from cnnrnn.core.phrases import Phrases
from cnnrnn.core.search import SearchOptions
from cnnrnn.runtime.backend import Encoded, Stepped
from cnnrnn.runtime.backtrace import Path, trace_back
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.loop import History, SpecialTokens, decode
from cnnrnn.runtime.select import select_spec
from tests.runtime.prefix_backend import session_of

# <pad> is the blank, then <start> and <end>; characters follow.
BLANK, START, END = 0, 1, 2
SPECIAL = SpecialTokens(START, (END,), blank=BLANK, silent=(BLANK, START, END))


class ColumnBackend:
    """Gives the columns of ``logits`` (B, P, V), one a step."""

    name, precision = "columns", "fp32"

    def __init__(self, logits: np.ndarray) -> None:
        self.logits, self.vocabulary = logits.astype(np.float32), logits.shape[-1]

    def encode(self, images, questions=None):
        return Encoded(memory={}, state={"column": np.zeros((len(self.logits), 1), np.int32)})

    def widen(self, state, beams):
        return {name: np.repeat(array[:, None], beams, axis=1) for name, array in state.items()}

    def step(self, tokens, parents, state, memory):
        column = state["column"][0, 0, 0]
        logits = np.repeat(self.logits[:, None, column], tokens.shape[1], axis=1)
        return Stepped(logits, {"column": state["column"] + 1}, None)

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
        """Sessions are kept, as those of `PrefixBackend`."""


def read_columns(
    logits: np.ndarray, beams: int, phrases: Phrases | None = None, suppress: tuple[int, ...] = ()
) -> tuple[History, list[list[Path]]]:
    """The hypotheses of each of B lines, ``logits`` (B, P, V)."""
    options = SearchOptions(
        beams=beams,
        max_length=logits.shape[1],
        min_length=0,
        length_penalty=0.0,
        n_best=beams,
        phrases=phrases,
        suppress_tokens=suppress,
    )
    images = np.zeros((len(logits), 1, 1, 3), np.uint8)
    history = decode(ColumnBackend(logits), images, options, SPECIAL, Clock())
    return history, [trace_back(history, image, beams) for image in range(len(logits))]


def text_of(path: Path) -> tuple[int, ...]:
    return tuple(token for token in path.tokens.tolist() if token != BLANK)
