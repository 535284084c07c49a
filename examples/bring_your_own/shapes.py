"""A data set that needs no download: coloured shapes on plain grounds, and what a person would call them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

COLOURS_RGB = {"red": (220, 40, 40), "green": (40, 170, 60), "blue": (50, 70, 220), "yellow": (235, 205, 40)}
SHAPES = ("circle", "square", "triangle")
SIZES = {"small": 0.18, "large": 0.36}
WORDS = ("a", *SIZES, *COLOURS_RGB, *SHAPES)


def draw(side: int, random: np.random.Generator) -> tuple[NDArray[np.uint8], str]:
    """A picture (side, side, 3) uint8 RGB and its caption, such as "a small red circle"."""
    colour, shape, size = (str(random.choice(list(names))) for names in (COLOURS_RGB, SHAPES, SIZES))
    radius = SIZES[size] * side
    x, y = random.uniform(radius, side - radius, 2)
    picture = np.full((side, side, 3), random.integers(225, 256, 3), np.uint8)
    paint = tuple(
        int(value) for value in np.clip(np.add(COLOURS_RGB[colour], random.integers(-15, 16, 3)), 0, 255)
    )
    if shape == "circle":
        cv2.circle(picture, (round(x), round(y)), round(radius), paint, -1)
    else:
        turns = np.array([1, 3, 5, 7]) / 8 if shape == "square" else np.array([3, 7, 11]) / 12 + 0.5
        corners = np.stack(
            [x + radius * np.cos(2 * np.pi * turns), y + radius * np.sin(2 * np.pi * turns)], 1
        )
        cv2.fillPoly(picture, [corners.round().astype(np.int32)], paint)
    noise = random.normal(0, 4, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8), f"a {size} {colour} {shape}"


def write_pictures(folder: Path, count: int, side: int, random: np.random.Generator) -> dict[Path, str]:
    """Write ``count`` PNG files; the caption of each by its path."""
    folder.mkdir(parents=True, exist_ok=True)
    captions = {}
    for number in range(count):
        picture, caption = draw(side, random)
        path = folder / f"{number:03d}.png"
        cv2.imwrite(str(path), picture[:, :, ::-1])
        captions[path] = caption
    return captions
