"""Every kind of captioner, small: trained a little, exported and gated once a session, for all who ask.

The trunk is two convolutions, the picture 16 × 16, the words twelve; cell, conditioning, attention, features
and tied embedding go through every combination that there is; layers and the normalisation of features take
turns, so that each of them meets each cell, conditioning and attention. What else there is shares one
captioner more, since an export takes seconds, and one of `tests/benchmarks/test_models.py`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cnnrnn.core.manifest import ImageSpec, SearchDefaults
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.data.vocabulary import VocabularyConfig, build_tokenizer
from cnnrnn.export import ExportOptions, export_bundle
from cnnrnn.models import Captioner, Encoder, ModelConfig
from cnnrnn.runtime.image import fit, read_image
from cnnrnn.training.forward import Normalise

IMAGE = ImageSpec(16, 16, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
PICTURES = 4
MAX_LENGTH = 7
STEPS = 24
ATTENTIONS = (("none", False), ("additive", False), ("additive", True), ("multiplicative", False))
Options = dict[str, Any]
GRID: list[Options] = [
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
LAYERS = (1, 2, 3)
VALID = [options for options in GRID if options["attention"] == "none" or options["features"] == "grid"]
REFUSED = [options for options in GRID if options not in VALID]
MORE: list[Options] = [
    {
        "cell": "lstm",
        "conditioning": "every_step",
        "attention": "adaptive",
        "features": "columns",
        "position_encoder": "gru",
        "layers": 2,
        "residual": True,
        "layer_norm": True,
    },
]
EVERY = [*VALID, *MORE]


def layers_of(options: Options) -> int:
    """How many layers the decoder of these options has."""
    return options.get("layers") or LAYERS[EVERY.index(options) % len(LAYERS)]


def has_feature_norm(options: Options) -> bool:
    """Whether the features of a captioner of these options are normalised."""
    return EVERY.index(options) // len(LAYERS) % 2 == 1


def named(options: Options) -> str:
    """``"lstm-initial_state-none-False-grid-True"``."""
    return "-".join(str(value) for value in options.values())


@dataclass(frozen=True)
class Exported:
    """One captioner of the grid and its bundle.

    Attributes:
        images: what the pictures of ``files`` are to the model, (B, 3, H, W).
        losses: of each step of the training.
        passed: what the parity gate said.
        folder: the bundle.
    """

    captioner: Captioner
    files: list[Path]
    images: Tensor
    losses: list[float]
    passed: bool
    folder: Path


class CaptionerGrid:
    """Makes the captioners of the grid in a folder, each the first time that it is asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, Exported] = {}
        self.tokenizer: Tokenizer = build_tokenizer(
            ["one two three four five six seven eight nine ten eleven twelve"], VocabularyConfig()
        )
        pictures = folder / "pictures"
        pictures.mkdir()
        random = np.random.default_rng(0)
        for number in range(PICTURES):
            blocks = random.integers(0, 256, (4, 4, 3), np.uint8)
            enlarged = cv2.resize(blocks, (24, 20), interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(str(pictures / f"{number}.png"), enlarged)

    def exported(self, options: Options) -> Exported:
        """The captioner of these options, one of `EVERY`."""
        name = named(options)
        if name not in self._made:
            self._made[name] = self._export(name, options)
        return self._made[name]

    def _export(self, name: str, options: Options) -> Exported:
        pictures = self._folder / "pictures"
        files = sorted(pictures.iterdir())
        pixels = [torch.from_numpy(fit(read_image(file), IMAGE)).permute(2, 0, 1) for file in files]
        images = Normalise(IMAGE, torch.device("cpu"))(torch.stack(pixels))
        chosen = {"layers": layers_of(options), "feature_norm": has_feature_norm(options)}
        captioner = tiny_captioner({**options, **chosen}, self.tokenizer)
        losses = train_a_little(captioner, images, self.tokenizer)
        report = export_bundle(
            captioner,
            self.tokenizer,
            self._folder / name,
            options=ExportOptions(
                name="grid",
                image=IMAGE,
                search=SearchDefaults(beams=5, max_beams=5, max_length=MAX_LENGTH),
                pictures=pictures,
                alignment_grid=captioner.encoder.grid(IMAGE.height, IMAGE.width)
                if captioner.config.attention != "none"
                else None,
                least_pictures=PICTURES,
            ),
        )
        return Exported(captioner, files, images, losses, report.passed, self._folder / name)


def tiny_captioner(options: Options, tokenizer: Tokenizer) -> Captioner:
    """A captioner with a trunk of two convolutions in place of a torchvision network."""

    def build(config: ModelConfig, *, load_pretrained: bool = True) -> Encoder:
        trunk = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3, 2, 1)
        )
        return Encoder(trunk, 12, config)

    config = ModelConfig(
        encoder="tiny", hidden=24, embedding=16, attention_size=8, position_hidden=10, **options
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cnnrnn.models.captioner.build_encoder", build)
        torch.manual_seed(0)
        return Captioner(config, tokenizer.size)


def train_a_little(
    captioner: Captioner, images: Tensor, tokenizer: Tokenizer, steps: int = STEPS
) -> list[float]:
    """A few steps towards four captions, in each of which every parameter has to get a gradient."""
    words = torch.randint(4, tokenizer.size, (PICTURES, 5), generator=torch.Generator().manual_seed(1))
    inputs = torch.cat([torch.full((PICTURES, 1), tokenizer.start), words], dim=1)
    targets = torch.cat([words, torch.full((PICTURES, 1), tokenizer.end)], dim=1)
    optimizer = torch.optim.AdamW(captioner.parameters(), lr=0.02)
    losses = []
    captioner.train()
    for _ in range(steps):
        loss = functional.cross_entropy(captioner(images, inputs).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        without = [name for name, parameter in captioner.named_parameters() if parameter.grad is None]
        assert not without, f"no gradient reaches {without}"
        optimizer.step()
        losses.append(loss.item())
    captioner.eval()
    return losses
