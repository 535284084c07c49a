"""The search as it runs: loop, select graph and back-trace, over step models that are any functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnxruntime as ort

from cnnrnn.core.search import SearchOptions
from cnnrnn.runtime.backtrace import Path, trace_back
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.loop import History, SpecialTokens, decode
from cnnrnn.runtime.select import SelectKind
from tests.runtime.prefix_backend import PrefixBackend
from tests.runtime.reference_search import StepModel

# Where the decoder looks, of P positions, when it chooses the token after a prefix.
Alignment = Callable[[tuple[int, ...]], np.ndarray]

# The fed start token. No image is looked at: which model answers is told by the place in the batch.
START = 0

_SESSIONS: dict[SelectKind, ort.InferenceSession] = {}


class SharedBackend(PrefixBackend):
    """Loads each select graph once for all tests."""

    def __init__(
        self,
        models: Sequence[StepModel],
        vocabulary: int,
        ends: int,
        longest: int,
        alignment: Alignment | None = None,
    ) -> None:
        super().__init__(list(models), vocabulary, ends, longest)
        self.sessions = _SESSIONS
        self.alignment = alignment

    def step(self, tokens, parents, state, memory):
        stepped = super().step(tokens, parents, state, memory)
        if self.alignment is None:
            return stepped
        fed = stepped.state["prefix"]
        rows = [[self.alignment(words_of(beam)) for beam in image] for image in fed]
        return type(stepped)(stepped.logits, stepped.state, np.asarray(rows, np.float32))


def words_of(fed: np.ndarray) -> tuple[int, ...]:
    """A beam's tokens without the start token and without the places that are not used yet."""
    return tuple(fed[1:][fed[1:] >= 0].tolist())


def search_all(
    models: Sequence[StepModel],
    vocabulary: int,
    ends: tuple[int, ...],
    options: SearchOptions,
    alignment: Alignment | None = None,
    clock: Clock | None = None,
) -> tuple[History, list[list[Path]]]:
    """What the search left behind, and the hypotheses for each model's picture, best first."""
    backend = SharedBackend(models, vocabulary, len(ends), options.longest, alignment)
    images = np.zeros((len(models), 1, 1, 3), np.uint8)
    history = decode(backend, images, options, SpecialTokens(START, ends), clock or Clock())
    return history, [trace_back(history, image, options.n_best) for image in range(len(models))]


def search(
    models: Sequence[StepModel],
    vocabulary: int,
    ends: tuple[int, ...],
    options: SearchOptions,
    alignment: Alignment | None = None,
) -> list[list[Path]]:
    """The hypotheses for each model's picture, best first."""
    return search_all(models, vocabulary, ends, options, alignment)[1]


def tokens_of(path: Path) -> tuple[int, ...]:
    return tuple(path.tokens.tolist())
