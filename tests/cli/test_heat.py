"""The overlay that shows attention, and the words that say it."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from cnnrnn.cli.page.heat import overlay, place


def decoded(address: str) -> np.ndarray:
    cv2 = pytest.importorskip("cv2")
    head, _, data = address.partition(",")
    assert head == "data:image/png;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_UNCHANGED)


def test_it_is_opaque_where_the_weight_is_and_clear_elsewhere() -> None:
    weights = np.zeros((3, 4), np.float32)
    weights[0, 3] = 1.0
    pixels = decoded(overlay(weights.ravel(), (3, 4)))
    assert pixels.shape == (54, 72, 4)
    assert pixels[4, -4, 3] > 190
    assert pixels[-4, 4, 3] == 0


def test_an_even_attention_is_a_faint_veil() -> None:
    """Even weights say nothing about a place, however the grid divides them."""
    for side in (2, 7):
        pixels = decoded(overlay(np.full(side * side, side**-2, np.float32), (side, side)))
        assert 60 < pixels[..., 3].min() <= pixels[..., 3].max() < 100


def test_weights_of_zero_draw_nothing() -> None:
    assert decoded(overlay(np.zeros(4, np.float32), (2, 2)))[..., 3].max() == 0


@pytest.mark.parametrize(
    ("position", "said"),
    [((0, 0), "upper left"), ((0, 5), "upper right"), ((2, 3), "middle centre"), ((5, 5), "lower right")],
)
def test_places_are_named_by_thirds(position: tuple[int, int], said: str) -> None:
    weights = np.full((6, 6), 0.01)
    weights[position] = 0.65
    assert place(weights.ravel(), (6, 6)) == f"{said}, 68% of its attention"
