"""Every kind of captioner through a train step, export with the parity gate, and decoding without torch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import cnnrnn
from cnnrnn.core.errors import ConfigError
from cnnrnn.export import check_model
from cnnrnn.models import ModelConfig
from cnnrnn.training.greedy import greedy_captions
from tests.captioner_grid import (
    ATTENTIONS,
    EVERY,
    IMAGE,
    LAYERS,
    MAX_LENGTH,
    PICTURES,
    REFUSED,
    VALID,
    CaptionerGrid,
    Options,
    has_feature_norm,
    layers_of,
    named,
    tiny_captioner,
    train_a_little,
)

# What else there is is exported in few combinations; in these it is only trained and checked, which is quick.
STACKS: list[Options] = [
    {"cell": cell, "conditioning": conditioning, "attention": attention, "gate": gate}
    for cell, conditioning, (attention, gate) in itertools.product(
        ("lstm", "gru"),
        ("initial_state", "first_input", "every_step"),
        (*ATTENTIONS, ("bottom_up_top_down", False), ("adaptive", False)),
    )
    if not (attention == "adaptive" and cell == "gru")
    and not (attention == "bottom_up_top_down" and conditioning == "first_input")
]


@pytest.mark.parametrize("options", EVERY, ids=named)
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
        shares = beam[0].alignment.sum(axis=1)
        if options["attention"] == "adaptive":  # the sentinel has the rest
            assert ((shares > 0) & (shares < 1)).all()
        else:
            np.testing.assert_allclose(shares, 1, atol=1e-5)


@pytest.mark.parametrize("options", STACKS, ids=named)
def test_residual_normalised_layers_train_and_follow_the_protocol(
    options: Options, captioner_grid: CaptionerGrid
) -> None:
    tokenizer = captioner_grid.tokenizer
    captioner = tiny_captioner({**options, "layers": 3, "residual": True, "layer_norm": True}, tokenizer)
    images = torch.randn(PICTURES, 3, IMAGE.height, IMAGE.width, generator=torch.Generator().manual_seed(0))
    losses = train_a_little(captioner, images, tokenizer, steps=4)
    assert losses[-1] < losses[0]
    report = check_model(captioner, IMAGE, vocabulary=tokenizer.size)
    assert report.ok, report
    assert not report.notes, report


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
