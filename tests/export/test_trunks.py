"""torchvision's networks through the parity gate: what a trunk is cut out of has to be exportable too."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

import cnnrnn
from cnnrnn.core.manifest import ImageSpec, SearchDefaults
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.export import ExportOptions, export_bundle
from cnnrnn.models import Captioner, ModelConfig

PIXELS = 64


def untrained(encoder: str, vocabulary: int) -> Captioner:
    """A captioner whose features and weights are large enough that pictures get different captions."""
    torch.manual_seed(0)
    config = ModelConfig(
        encoder=encoder, cell="gru", hidden=16, embedding=8, attention="none", feature_norm=True
    )
    captioner = Captioner(config, vocabulary)
    for module in captioner.encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0  # the one batch below is all that it is to know
    with torch.no_grad():
        captioner.encoder.train()(functional.interpolate(torch.randn(16, 3, 5, 6), (PIXELS, PIXELS)))
        for parameter in captioner.decoder.parameters():
            parameter.mul_(4.0)
    return captioner.eval()


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["alexnet", "resnet18", "mobilenet_v3_small"])
def test_torchvisions_trunks_pass_the_gate(
    encoder: str, tokenizer: Tokenizer, pictures: Path, tmp_path: Path
) -> None:
    image = ImageSpec(PIXELS, PIXELS, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    report = export_bundle(
        untrained(encoder, tokenizer.size),
        tokenizer,
        tmp_path / "bundle",
        options=ExportOptions(
            name=encoder,
            image=image,
            search=SearchDefaults(beams=3, max_beams=3, max_length=6),
            pictures=pictures,
            least_pictures=12,
        ),
    )
    assert report.passed
    with cnnrnn.load(tmp_path / "bundle") as model:
        texts = {result.text for result in model(sorted(pictures.iterdir()))}
    assert len(texts) > 2, "captions that are all the same prove nothing"
