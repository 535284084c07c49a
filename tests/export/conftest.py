"""Small models that follow the protocol, a tokenizer of twelve words, and pictures of blocks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tokenizers
import torch
from torch import Tensor, nn

from cnnrnn.core.manifest import ImageSpec
from cnnrnn.core.tokenizer import Tokenizer

SIDE = 16
WORDS = ("<pad>", "<start>", "<end>", "<unk>", *"abcdefgh")
HIDDEN = 12


class AttentionCaptioner(nn.Module):
    """A GRU cell that looks at a grid of 4 x 4: it has state, memory of two kinds, and an alignment."""

    def __init__(self, vocabulary: int = len(WORDS)) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, HIDDEN, 4, 4), nn.BatchNorm2d(HIDDEN), nn.ReLU())
        self.embedding = nn.Embedding(vocabulary, HIDDEN)
        self.key = nn.Linear(HIDDEN, HIDDEN)
        self.gates = nn.Linear(3 * HIDDEN, HIDDEN)
        self.keep = nn.Linear(3 * HIDDEN, HIDDEN)
        self.drop = nn.Dropout(0.5)
        self.output = nn.Linear(HIDDEN, vocabulary)

    def encode(self, image: Tensor) -> dict[str, Tensor]:
        grid = self.trunk(image).flatten(2).transpose(1, 2)
        return {"keys": self.key(grid), "values": grid, "mean": grid.mean(1)}

    def initial_state(self, memory: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": torch.tanh(memory["mean"])}

    def step(self, tokens: Tensor, state: dict[str, Tensor], memory: dict[str, Tensor]) -> Any:
        alignment = torch.softmax(state["h"] @ memory["keys"].transpose(1, 2), -1)
        seen = torch.cat((self.embedding(tokens), alignment @ memory["values"], state["h"]), -1)
        keep = torch.sigmoid(self.keep(seen))
        h = keep * state["h"] + (1 - keep) * torch.tanh(self.gates(seen))
        return self.output(self.drop(h)), {"h": h}, alignment


@pytest.fixture(scope="session", autouse=True)
def exports_read_once(torchlib_read_once: None) -> None:
    """For every test of this folder."""


@pytest.fixture(scope="session")
def make_captioner() -> Callable[..., AttentionCaptioner]:
    """A captioner with weights large enough that pictures get different captions."""

    def make(kind: type[AttentionCaptioner] = AttentionCaptioner, seed: int = 0) -> AttentionCaptioner:
        random = torch.get_rng_state()
        torch.manual_seed(seed)
        model = kind()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(3.0)
            norm = model.trunk[1]
            assert isinstance(norm, nn.BatchNorm2d)
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.running_mean.uniform_(-0.5, 0.5)
            norm.running_var.uniform_(0.5, 2.0)
        torch.set_rng_state(random)
        return model.eval()

    return make


@pytest.fixture(scope="session")
def captioner_class() -> type[AttentionCaptioner]:
    """For tests that spoil one method of it."""
    return AttentionCaptioner


@pytest.fixture(scope="session")
def image_spec() -> ImageSpec:
    """16 x 16 pixels, another mean and standard deviation for each colour."""
    return ImageSpec(SIDE, SIDE, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """The four special tokens and eight words."""
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    backend.add_special_tokens(list(WORDS[:4]))
    return Tokenizer(backend)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of twelve PNG files, 20 x 24 pixels, of coloured blocks."""
    folder = tmp_path_factory.mktemp("pictures") / "blocks"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(12):
        blocks = random.integers(0, 256, (5, 6, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number:02d}.png"), blocks.repeat(4, 0).repeat(4, 1))
    return folder
