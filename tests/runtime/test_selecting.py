"""State kept in a backend's own buffers gives what state that is passed on gives, whatever the options."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from cnnrnn.core.errors import BackendError
from cnnrnn.core.phrases import Phrases
from cnnrnn.core.search import options_for
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.graphs import Graphs
from cnnrnn.runtime.image import fit
from cnnrnn.runtime.loop import Search, SpecialTokens, decode, prepare
from cnnrnn.runtime.ort_cpu import OrtCpuBackend
from cnnrnn.runtime.ort_select import BoundSelect
from cnnrnn.runtime.search_inputs import start
from cnnrnn.runtime.selecting import BindsSelect
from tests.runtime import tiny_bundle

SPECIAL = SpecialTokens(1, (2,))
OPTIONS: list[dict[str, Any]] = [
    {},
    {"beams": 1},
    {"beams": 5, "early_stopping": "never", "length_penalty": 0.4, "max_length": (3, 8, 5)},
    {"repetition_penalty": 1.3, "no_repeat_ngram_size": 2},
    {"suppress_tokens": (5, 6), "bad_words_ids": ((4, 7), (8,))},
    {"prefix": ((4, 5), (), (6,))},
    {"phrases": Phrases([(4, 5, 6), (4, 7), (8,)])},
    {"beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.6},
    {"do_sample": True, "top_k": 9, "top_p": 0.8, "seed": 4},
    {"coverage_penalty": 0.3},
]


class PassingOn:
    """The same backend without buffers of its own."""

    def __init__(self, backend: OrtCpuBackend) -> None:
        for name in ("encode", "widen", "step", "select", "prepare", "from_host", "to_host", "close"):
            setattr(self, name, getattr(backend, name))
        self.name, self.precision, self.vocabulary = backend.name, backend.precision, backend.vocabulary


@pytest.fixture(scope="module")
def backend() -> Any:
    return OrtCpuBackend(Graphs(tiny_bundle.manifest(), "fp32", tiny_bundle.files().__getitem__), threads=1)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_history_is_the_same(backend: Any, pictures, options):
    assert hasattr(backend, "bind_select")
    passing: Any = PassingOn(backend)
    assert not isinstance(passing, BindsSelect)
    image = tiny_bundle.manifest().image
    pixels = np.stack([fit(np.ascontiguousarray(picture), image) for picture in pictures[:3]])
    search = options_for(tiny_bundle.manifest(), **options)
    one = decode(backend, pixels, search, SPECIAL, Clock())
    other = decode(passing, pixels, search, SPECIAL, Clock())
    for entry in fields(one):
        found, wanted = getattr(one, entry.name), getattr(other, entry.name)
        if isinstance(wanted, np.ndarray):
            np.testing.assert_array_equal(found, wanted, err_msg=entry.name)
            assert found.dtype == wanted.dtype
        else:
            assert found is wanted


def test_what_was_chosen_stays_when_the_buffers_are_written_again(backend, pictures):
    pixels = fit(np.ascontiguousarray(pictures[0]), tiny_bundle.manifest().image)[None]
    search = options_for(tiny_bundle.manifest(), min_length=5)
    whole = decode(backend, pixels, search, SPECIAL, Clock())
    going = Search(backend, pixels, search, SPECIAL, Clock())
    seen = []
    more = True
    while more:
        more = going.advance()
        seen.append(going.latest())
    for step, latest in enumerate(seen):
        for name in ("tokens", "parents", "scores"):
            np.testing.assert_array_equal(getattr(latest, name)[0], getattr(whole, name)[step])
    assert not np.array_equal(seen[0].finished_scores, seen[-1].finished_scores)


def test_a_graph_that_fails_is_named(backend):
    search = options_for(tiny_bundle.manifest())
    kind = prepare(backend, search, SPECIAL)
    bound = backend.bind_select(kind, *start(kind, 1, search, SPECIAL, backend.vocabulary))
    assert isinstance(bound, BoundSelect)
    wrong = backend._ort.OrtValue.ortvalue_from_numpy(np.zeros((1, 7, 24), np.float32))
    with pytest.raises(BackendError, match="failed in select beam3"):
        bound.step(wrong, None)
