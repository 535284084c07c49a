"""Sizes that engines are built for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cnnrnn.core.bundle import Bundle
from cnnrnn.core.errors import BundleError, OptionsError
from cnnrnn.core.manifest import Dimension, GraphSpec, TensorSpec
from cnnrnn.runtime.engine.bucket import (
    MAX_IMAGES,
    Bucket,
    check_bucket,
    input_shapes,
    output_shapes,
    sizes,
)
from cnnrnn.runtime.model import MAX_BATCH


def graph(*shape: Dimension) -> GraphSpec:
    tensors = (TensorSpec("logits", "float32", shape),)
    return GraphSpec("fp32/step.onnx", tensors, tensors)


@pytest.mark.parametrize("values", [(0, 5), (1, 0), (True, 1), (1, "5"), (1.0, 1)])
def test_no_size(values: tuple[Any, Any]) -> None:
    with pytest.raises(OptionsError, match="give an integer from 1"):
        Bucket(*values)


def test_as_many_images_as_the_runtime_takes_together() -> None:
    assert MAX_IMAGES == MAX_BATCH


def test_a_bucket_beyond_the_bundles(colour_bundle: Path) -> None:
    manifest = Bundle.open(colour_bundle).manifest
    check_bucket(Bucket(MAX_IMAGES, 5), manifest)
    with pytest.raises(OptionsError, match=r"beams=6 is above the 5 that bundle 'colours' was checked with"):
        check_bucket(Bucket(1, 6), manifest)
    with pytest.raises(OptionsError, match="images=17 is above 16"):
        check_bucket(Bucket(17, 1), manifest)


def test_every_letter_is_a_number(colour_bundle: Path) -> None:
    manifest = Bundle.open(colour_bundle).manifest
    letters = sizes(manifest, Bucket(4, 5))
    step = manifest.precisions["fp32"]["step"]
    assert input_shapes(step, letters) == {
        "tokens": (4, 5),
        "parents": (4, 5),
        "state_age": (4, 5, 1),
        "memory_colour": (4, 3),
    }
    assert output_shapes(step, letters)["logits"] == (4, 5, 9)


def test_a_size_that_depends_on_values() -> None:
    for shapes, way in ((input_shapes, "input"), (output_shapes, "output")):
        with pytest.raises(BundleError, match=rf"step.onnx: {way} 'logits' has the dimension 'N'.*B, K"):
            shapes(graph("B", "N"), {"B": 1, "K": 5})


def test_a_size_of_nothing() -> None:
    with pytest.raises(BundleError, match=r"\(1, 0\); every size is 1 or more"):
        input_shapes(graph("B", 0), {"B": 1})
