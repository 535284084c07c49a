"""Every kind of captioner through a train step, export with the parity gate, and decoding without torch."""

from __future__ import annotations

import numpy as np
import pytest

import cnnrnn
from cnnrnn.core.errors import ConfigError
from cnnrnn.models import ModelConfig
from cnnrnn.training.greedy import greedy_captions
from tests.captioner_grid import MAX_LENGTH, REFUSED, VALID, CaptionerGrid, Options, named


@pytest.mark.parametrize("options", VALID, ids=named)
def test_trains_exports_and_decodes(options: Options, captioner_grid: CaptionerGrid) -> None:
    made = captioner_grid.exported(options)
    assert made.losses[-1] < 0.8 * made.losses[0]
    assert made.passed

    with cnnrnn.load(made.folder) as model:
        greedy = [result.text for result in model(made.files, beams=1, min_length=0)]
        beam = model(made.files, beams=5)
    assert greedy == greedy_captions(made.captioner, made.images, captioner_grid.tokenizer, MAX_LENGTH)
    assert all(result.hypotheses for result in beam)
    if options["attention"] != "none":
        assert beam[0].alignment is not None
        np.testing.assert_allclose(beam[0].alignment.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("options", REFUSED, ids=named)
def test_refused_before_any_work(options: Options) -> None:
    with pytest.raises(ConfigError, match="set features = 'grid' or attention = 'none'"):
        ModelConfig(**options)
