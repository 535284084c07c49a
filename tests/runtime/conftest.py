"""The tiny bundle, written once, and the model over it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnnrnn.core.bundle import write_bundle
from cnnrnn.runtime.loading import load
from cnnrnn.runtime.model import Model
from tests.runtime import tiny_bundle


@pytest.fixture(scope="session")
def written_bundle(tmp_path_factory) -> Path:
    """Shared by the whole session: not to be changed."""
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    write_bundle(folder, tiny_bundle.manifest(), tiny_bundle.files())
    return folder


@pytest.fixture
def model(written_bundle):
    with load(written_bundle, threads=1) as opened:
        assert isinstance(opened, Model)
        yield opened


@pytest.fixture(scope="session")
def pictures() -> list[np.ndarray]:
    """Twelve BGR pictures of different sizes."""
    random = np.random.default_rng(7)
    made = []
    for index in range(12):
        height, width = 20 + 5 * index, 70 - 4 * index
        base = random.integers(0, 256, 3)
        noise = random.normal(0, 40, (height, width, 3))
        made.append(np.clip(base + noise, 0, 255).astype(np.uint8))
    return made
