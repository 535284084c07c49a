"""The model as training runs it: pixels as the exported graph has them, and compiled or not, the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cnnrnn.core.manifest import ImageSpec
from cnnrnn.training import TrainConfig, load_model, train
from cnnrnn.training.forward import Normalise
from tests.training.runs import close, weights, with_training, without_chance


def test_normalise_is_the_encoder_graphs() -> None:
    image = ImageSpec(2, 2, (0.5, 0.4, 0.3), (0.2, 0.25, 0.5))
    pixels = torch.randint(0, 256, (1, 3, 2, 2), dtype=torch.uint8)
    expected = (pixels / 255 - torch.tensor(image.mean).view(3, 1, 1)) / torch.tensor(image.std).view(3, 1, 1)
    torch.testing.assert_close(Normalise(image, torch.device("cpu"))(pixels), expected)


def test_a_checkpoint_does_not_tell_whether_its_run_was_compiled(
    tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced by torch.compile and run by its plainest backend: code would be generated for a minute else."""
    compile_it, compiled = torch.compile, []

    def traced(function: Any, **_: Any) -> Any:
        compiled.append(function.__name__)
        return compile_it(function, backend="eager")

    monkeypatch.setattr(torch, "compile", traced)
    config = without_chance(tiny, epochs=1, ema=0.9)
    plain = train(config)
    assert compiled == []
    other = train(with_training(replace(config, output=str(tmp_path / "compiled")), compile=True))
    assert compiled == ["_call_impl", "step"]
    close(plain.last, other.last)
    assert load_model(other.last).model.state_dict().keys() == weights(plain.last).keys()
