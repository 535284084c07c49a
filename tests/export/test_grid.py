"""Every kind of captioner through a train step, export with the parity gate, and decoding without torch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import cnnrnn
from cnnrnn.core.errors import ConfigError
from cnnrnn.models import ModelConfig
from cnnrnn.training.greedy import greedy_captions
from tests.captioner_grid import (
    LAYERS,
    MAX_LENGTH,
    REFUSED,
    VALID,
    CaptionerGrid,
    Options,
    has_feature_norm,
    layers_of,
    named,
)


@pytest.mark.parametrize("options", VALID, ids=named)
def test_trains_exports_and_decodes(options: Options, captioner_grid: CaptionerGrid) -> None:
    made = captioner_grid.exported(options)
    assert made.losses[-1] < 0.8 * made.losses[0]
    assert made.passed

    with cnnrnn.load(made.folder) as model:
        greedy = [result.text for result in model(made.files, beams=1, min_length=0)]
        beam = model(made.files, beams=5)
    memory = made.captioner.encode(made.images)
    assert greedy == greedy_captions(made.captioner, memory, captioner_grid.tokenizer, MAX_LENGTH)
    assert all(result.hypotheses for result in beam)
    if options["attention"] != "none":
        assert beam[0].alignment is not None
        np.testing.assert_allclose(beam[0].alignment.sum(axis=1), 1, atol=1e-5)


def test_layers_and_normalisation_meet_every_part() -> None:
    for part in ("cell", "conditioning", "attention", "gate", "features", "tied"):
        values = {options[part] for options in VALID}
        met = {(options[part], layers_of(options)) for options in VALID}
        assert met == set(itertools.product(values, LAYERS)), part
        met = {(options[part], has_feature_norm(options)) for options in VALID}
        assert met == set(itertools.product(values, (False, True))), part


@pytest.mark.parametrize("options", REFUSED, ids=named)
def test_refused_before_any_work(options: Options) -> None:
    with pytest.raises(ConfigError, match="set features = 'grid' or attention = 'none'"):
        ModelConfig(**options)
