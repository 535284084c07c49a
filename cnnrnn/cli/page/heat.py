"""Attention over a picture, as a small transparent picture to lay over it."""

from __future__ import annotations

import base64

import numpy as np

from cnnrnn.core.extras import require_cv2

SIDE = 72
"""Pixels of the overlay's longer side: smooth enough for a screen, about a kilobyte as PNG."""

FULL = 4.0
"""How many times its even share a place needs for the full colour: an even attention is a faint veil."""

# Stops of the ramp: weight relative to the full colour's, then red, green, blue, opacity. It goes
# from clear over violet to orange: visible on white, on black, and on the yellow that most emoji are.
RAMP = np.array(
    [
        (0.00, 76, 29, 149, 0.00),
        (0.25, 109, 40, 217, 0.30),
        (0.60, 219, 39, 119, 0.62),
        (1.00, 255, 106, 0, 0.80),
    ]
)
ROWS = ("upper", "middle", "lower")
COLUMNS = ("left", "centre", "right")


def overlay(weights: np.ndarray, grid: tuple[int, int]) -> str:
    """A PNG, as a ``data:`` address, of one word's attention.

    Args:
        weights: (P,) float32, at least 0: how much the decoder looked at each position, row by row.
        grid: (rows, columns), whose product is P.
    """
    cv2 = require_cv2()
    field = np.asarray(weights, np.float32).reshape(grid)
    longest = max(grid)
    size = (SIDE * grid[1] // longest, SIDE * grid[0] // longest)
    smooth = cv2.resize(field, size, interpolation=cv2.INTER_CUBIC)
    smooth = np.clip(smooth * field.size / (FULL * max(float(field.sum()), 1e-9)), 0.0, 1.0)
    channels = [np.interp(smooth, RAMP[:, 0], RAMP[:, channel]) for channel in (3, 2, 1)]
    alpha = np.interp(smooth, RAMP[:, 0], RAMP[:, 4]) * 255
    pixels = np.stack([*channels, alpha], axis=-1).round().astype(np.uint8)
    _, encoded = cv2.imencode(".png", pixels)
    return "data:image/png;base64," + base64.b64encode(encoded.tobytes()).decode()


def place(weights: np.ndarray, grid: tuple[int, int]) -> str:
    """The same in words, for who cannot see it: ``upper left, 34 % of its attention``.

    The share is that of the third of the picture's rows and columns that the strongest position lies in.
    """
    field = np.asarray(weights, np.float64).reshape(grid)
    thirds = [np.minimum(np.arange(count) * 3 // count, 2) for count in grid]
    row, column = np.unravel_index(int(field.argmax()), grid)
    inside = np.outer(thirds[0] == thirds[0][row], thirds[1] == thirds[1][column])
    share = field[inside].sum() / max(field.sum(), 1e-12)
    return f"{ROWS[thirds[0][row]]} {COLUMNS[thirds[1][column]]}, {share:.0%} of its attention"
