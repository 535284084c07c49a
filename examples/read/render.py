"""A line of text as a picture: ink on paper, and what a camera, a scanner or a compressor makes of it.

Every choice comes from the generator of random numbers that is given, so that a picture is a function of its
seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from fonts import mask
from numpy.typing import NDArray

HEIGHT = 32
"""Rows of a picture, those of the reader's own."""

Plane = NDArray[np.float32]
Random = np.random.Generator


@dataclass(frozen=True)
class Look:
    """How lines look; a probability is that of the effect being there at all.

    Attributes:
        size: smallest and largest pixels per em.
        margin: largest empty border above and below, pixels.
        contrast: smallest and largest difference of ink and paper, of 255.
        colour: probability that ink and paper are coloured.
        inverted: probability that the ink is lighter than the paper.
        perspective: probability of a perspective, with rotation and shear.
        elastic: probability that the line is bent.
        background: probability that the paper is uneven: a gradient, a grain, rules or edges.
        blur, noise, jpeg, coarse: probabilities of a blur, noise, JPEG's traces, a low resolution.
        strength: of all these, 1 for the full range.
    """

    size: tuple[int, int] = (20, 30)
    margin: int = 5
    contrast: tuple[float, float] = (40, 255)
    colour: float = 0.5
    inverted: float = 0.3
    perspective: float = 0.6
    elastic: float = 0.25
    background: float = 0.5
    blur: float = 0.3
    noise: float = 0.4
    jpeg: float = 0.3
    coarse: float = 0.2
    strength: float = 1.0


LOOKS = {
    "clean": Look((20, 29), 4, (140, 255), 0.3, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "degraded": Look((20, 29), 4, (50, 220), 0.6, 0.3, 0.8, 0.35, 0.7, 0.5, 0.6, 0.5, 0.3, 1.0),
    "mixed": Look(strength=0.9),
}
"""By name: as a printer or a screen gives it; as a bad photograph does; all between, to train on."""


def line(text: str, font: Path, look: Look, widest: float, random: Random) -> NDArray[np.uint8]:
    """A picture (HEIGHT, W, 3) uint8 RGB of a line.

    Args:
        widest: the largest W; a longer line is set in a smaller size.
    """
    low, high = look.size
    size = int(random.integers(low, high + 1))
    ink = mask(font, text, size)
    margins = random.integers(1, look.margin + 1, 4)
    inner = max(8, HEIGHT - int(margins[0] + margins[1]))
    fit = min(1.0, inner / ink.shape[0], (widest - int(margins[2] + margins[3]) - 6) / ink.shape[1])
    if fit < 1:
        ink = mask(font, text, max(6, int(size * fit)))[: HEIGHT - 1]
    share = _placed(ink, margins, look, int(widest), random)
    if random.random() < look.elastic:
        share = _bent(share, look.strength, random)
    picture = _inked(share, look, random)
    return _taken(picture, look, random)


def _placed(
    ink: NDArray[np.uint8], margins: NDArray[np.int64], look: Look, widest: int, random: Random
) -> Plane:
    """The ink's share (HEIGHT, W) of each pixel, 0 to 1: moved by parts of a pixel, turned and slanted."""
    height, width = ink.shape
    wide = min(widest, width + int(margins[2] + margins[3]) + 2)
    free = HEIGHT - height
    top = free * random.uniform(0.25, 0.75)
    left = min(float(margins[2]), max(0.0, wide - width - 1.0))
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    target = corners + np.array((left, top), np.float32)
    if random.random() < look.perspective:
        slant = random.uniform(-0.2, 0.2) * look.strength * height
        turn = random.uniform(-0.5, 0.5) * look.strength * max(2.0, free)
        target[:2, 0] += slant
        target[(1, 2), 1] += turn / 2
        target[(0, 3), 1] -= turn / 2
        target += random.uniform(-1.5, 1.5, (4, 2)) * look.strength
    low, high = target.min(axis=0), target.max(axis=0)
    target[:, 0] += max(0.0, 1 - low[0])
    wide = int(min(widest, max(wide, high[0] + max(0.0, 1 - low[0]) + 2)))
    scale = min(
        1.0, (HEIGHT - 0.5) / max(1.0, high[1] - low[1]), (wide - 1) / max(1.0, float(np.ptp(target[:, 0])))
    )
    middle = target.mean(axis=0)
    target = (target - middle) * scale + (min(middle[0], wide / 2 + 2), np.clip(middle[1], 14, 18))
    warp = cv2.getPerspectiveTransform(corners, target.astype(np.float32))
    return cv2.warpPerspective(ink, warp, (wide, HEIGHT), flags=cv2.INTER_LINEAR).astype(np.float32) / 255


def _bent(share: Plane, strength: float, random: Random) -> Plane:
    """Elastic (Simard et al. 2003): a coarse field of shifts, smoothly enlarged."""
    height, width = share.shape
    cells = max(3, width // 24)
    field = random.uniform(-1.6, 1.6, (2, 3, cells)).astype(np.float32) * strength
    shift = [cv2.resize(plane, (width, height), interpolation=cv2.INTER_CUBIC) for plane in field]
    rows, columns = np.indices((height, width), np.float32)
    return cv2.remap(share, columns + shift[0], rows + shift[1], cv2.INTER_LINEAR)


def _inked(share: Plane, look: Look, random: Random) -> Plane:
    """Ink over paper, (HEIGHT, W, 3) from 0 to 255."""
    contrast = random.uniform(*look.contrast)
    paper_grey = random.uniform(contrast, 255)
    ink_grey = paper_grey - contrast
    if random.random() < look.inverted:
        paper_grey, ink_grey = ink_grey, paper_grey
    tint = random.random() < look.colour
    # Tints of equal luminance, so that a colour never takes the contrast away.
    paper, ink = (
        _tinted(grey, random) if tint else np.full(3, grey, np.float32) for grey in (paper_grey, ink_grey)
    )
    ground = np.broadcast_to(paper, (*share.shape, 3))
    if random.random() < look.background:
        ground = _uneven(ground, contrast * 0.35 * look.strength, random)
    weight = share[..., None]
    return ground + (ink - ground) * weight


_LUMINANCE = np.array((0.299, 0.587, 0.114), np.float32)


def _tinted(grey: float, random: Random) -> NDArray[np.float32]:
    tint = random.uniform(-60, 60, 3).astype(np.float32)
    tint -= tint @ _LUMINANCE
    return np.clip(grey + tint, 0, 255)


def _uneven(ground: NDArray[np.float32], depth: float, random: Random) -> Plane:
    """Paper with a gradient, a coarse grain, a rule or an edge of another shade."""
    height, width = ground.shape[:2]
    kind = int(random.integers(4))
    if kind == 0:
        ends = random.uniform(-depth, depth, 2)
        return ground + np.linspace(*ends, width, dtype=np.float32)[None, :, None]
    if kind == 1:
        coarse = random.uniform(-depth, depth, (4, max(2, width // 8))).astype(np.float32)
        return ground + cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    marked = np.array(ground)
    shade = random.uniform(-depth, depth)
    if kind == 2:
        row = int(random.choice((0, 1, height - 2, height - 1, int(random.integers(height)))))
        marked[row : row + 1 + int(random.integers(2))] += 2 * shade
    else:
        marked[:, : int(random.integers(width))] += shade
    return marked


def _taken(picture: Plane, look: Look, random: Random) -> NDArray[np.uint8]:
    """What a lens, a sensor and a file make of it."""
    height, width = picture.shape[:2]
    if random.random() < look.coarse:
        share = 1 - 0.45 * look.strength * random.random()
        small = cv2.resize(
            picture, (max(8, int(width * share)), int(height * share)), interpolation=cv2.INTER_AREA
        )
        picture = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    if random.random() < look.blur:
        if random.random() < 0.3:
            picture = cv2.blur(picture, (int(random.integers(2, 4)), 1))
        else:
            picture = cv2.GaussianBlur(picture, (5, 5), float(random.uniform(0.4, 0.4 + 0.8 * look.strength)))
    if random.random() < look.noise:
        sigma = random.uniform(2, 2 + 18 * look.strength)
        picture = picture + random.standard_normal((height, width, 1), np.float32) * np.float32(sigma)
    pixels = np.clip(picture, 0, 255).astype(np.uint8)
    if random.random() < look.jpeg:
        quality = int(random.integers(85 - int(65 * look.strength), 90))
        encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        pixels = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    return pixels
