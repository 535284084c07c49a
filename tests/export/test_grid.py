"""Every kind of captioner through a train step, export with the parity gate, and decoding without torch."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import cnnrnn
from cnnrnn.core.errors import ConfigError
from cnnrnn.core.manifest import ImageSpec, SearchDefaults
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.data.vocabulary import VocabularyConfig, build_tokenizer
from cnnrnn.export import ExportOptions, export_bundle
from cnnrnn.models import Captioner, Encoder, ModelConfig
from cnnrnn.runtime.image import fit, read_image
from cnnrnn.training.greedy import greedy_captions
from cnnrnn.training.trainer import Normalise

IMAGE = ImageSpec(16, 16, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
PICTURES = 4
ATTENTIONS = (("none", False), ("additive", False), ("additive", True), ("multiplicative", False))
GRID = [
    {
        "cell": cell,
        "conditioning": conditioning,
        "attention": attention,
        "gate": gate,
        "features": features,
        "tied": tied,
    }
    for cell, conditioning, (attention, gate), features, tied in itertools.product(
        ("lstm", "gru"),
        ("initial_state", "first_input", "every_step"),
        ATTENTIONS,
        ("grid", "pooled"),
        (False, True),
    )
]
VALID = [options for options in GRID if options["attention"] == "none" or options["features"] == "grid"]
REFUSED = [options for options in GRID if options not in VALID]


def named(options: dict[str, object]) -> str:
    return "-".join(str(value) for value in options.values())


@pytest.fixture
def tiny_trunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trunk of two convolutions in place of a torchvision network: a 4 x 4 grid of 12 features."""

    def build(config: ModelConfig, *, load_pretrained: bool = True) -> Encoder:
        trunk = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3, 2, 1)
        )
        return Encoder(trunk, 12, config)

    monkeypatch.setattr("cnnrnn.models.captioner.build_encoder", build)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for number in range(PICTURES):
        blocks = random.integers(0, 256, (4, 4, 3), np.uint8)
        cv2.imwrite(
            str(folder / f"{number}.png"), cv2.resize(blocks, (24, 20), interpolation=cv2.INTER_CUBIC)
        )
    return folder


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return build_tokenizer(
        ["one two three four five six seven eight nine ten eleven twelve"], VocabularyConfig()
    )


@pytest.fixture
def captioner(request: pytest.FixtureRequest, tiny_trunk: None, tokenizer: Tokenizer) -> Captioner:
    torch.manual_seed(0)
    options = request.param
    config = ModelConfig(
        encoder="tiny",
        hidden=24,
        embedding=16,
        attention_size=8,
        layers=1 + GRID.index(options) // 2 % 2,
        feature_norm=GRID.index(options) // 4 % 2 == 1,
        **options,
    )
    return Captioner(config, tokenizer.size)


@pytest.mark.parametrize("captioner", VALID, indirect=True, ids=named)
def test_trains_exports_and_decodes(
    captioner: Captioner, tokenizer: Tokenizer, pictures: Path, tmp_path: Path
) -> None:
    files = sorted(pictures.iterdir())
    pixels = torch.stack([torch.from_numpy(fit(read_image(file), IMAGE)).permute(2, 0, 1) for file in files])
    images = Normalise(IMAGE, torch.device("cpu"))(pixels)
    train_a_little(captioner, images, tokenizer)

    options = ExportOptions(
        name="grid",
        image=IMAGE,
        search=SearchDefaults(beams=5, max_beams=5, max_length=7),
        pictures=pictures,
        alignment_grid=(4, 4) if captioner.config.attention != "none" else None,
        least_pictures=PICTURES,
    )
    report = export_bundle(captioner, tokenizer, tmp_path / "bundle", options=options)
    assert report.passed

    with cnnrnn.load(tmp_path / "bundle") as model:
        greedy = [result.text for result in model(files, beams=1, min_length=0)]
        beam = model(files, beams=5)
    assert greedy == greedy_captions(captioner, images, tokenizer, 7)
    assert all(result.hypotheses for result in beam)
    if captioner.config.attention != "none":
        assert beam[0].alignment is not None
        np.testing.assert_allclose(beam[0].alignment.sum(axis=1), 1, atol=1e-5)


def train_a_little(captioner: Captioner, images: torch.Tensor, tokenizer: Tokenizer) -> None:
    """A few steps towards four captions: every parameter gets a gradient, and the loss falls."""
    words = torch.randint(4, tokenizer.size, (PICTURES, 5), generator=torch.Generator().manual_seed(1))
    inputs = torch.cat([torch.full((PICTURES, 1), tokenizer.start), words], dim=1)
    targets = torch.cat([words, torch.full((PICTURES, 1), tokenizer.end)], dim=1)
    optimizer = torch.optim.AdamW(captioner.parameters(), lr=0.02)
    losses = []
    captioner.train()
    for _ in range(12):
        loss = functional.cross_entropy(captioner(images, inputs).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        without = [name for name, parameter in captioner.named_parameters() if parameter.grad is None]
        assert not without, f"no gradient reaches {without}"
        optimizer.step()
        losses.append(loss.item())
    captioner.eval()
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("options", REFUSED, ids=named)
def test_refused_before_any_work(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="set features = 'grid' or attention = 'none'"):
        ModelConfig(**options)  # type: ignore[arg-type]
