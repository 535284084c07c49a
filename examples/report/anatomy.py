"""Which phantoms there are: findings drawn first, then the shapes that show them, then what is no finding.

Studies of one split share no combination of findings with another's, and no value of a shape's parameters
either: of twenty equal bands of each, four belong to validation and test alone.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass

from examples.report.findings import GRADES, ZONES, Label, Side, Study

SPLITS = ("train", "val", "test")
BANDS = 20
_HELD_OUT = {"val": (2, 12), "test": (7, 17)}

# What a class is in the picture: the heart's width over the thorax's, an effusion's height over the lung's.
HEART = {
    "absent": (0.40, 0.46),
    "uncertain": (0.50, 0.52),
    "mild": (0.56, 0.59),
    "moderate": (0.63, 0.66),
    "marked": (0.71, 0.75),
}
LEVEL = {"uncertain": (0.06, 0.08), "mild": (0.15, 0.21), "moderate": (0.31, 0.39), "marked": (0.52, 0.64)}
NODULE_CONTRAST = {"uncertain": (0.16, 0.20), "present": (0.42, 0.60)}
NODULE_RADIUS = (0.030, 0.050)
ZONE_HEIGHT = {"upper": (0.15, 0.25), "mid": (0.40, 0.48), "lower": (0.62, 0.70)}


@dataclass(frozen=True)
class Phantom:
    """A study and the numbers that it is drawn with; lengths are shares of the picture's side.

    Attributes:
        heart_ratio: the heart's width over the thorax's.
        left_level, right_level: an effusion's height over the lung's, 0 for none.
        nodule_height: from the lung's top, over its height.
        nodule_offset: from the lung's middle, over its half width, positive to the patient's side.
        nodule_radius, nodule_contrast: of the nodule; 0 for none.
        chest: the thorax's width.
        rotation_degrees, exposure, noise: of how the picture was taken.
        seed: of the noise.
    """

    study: Study
    heart_ratio: float
    left_level: float
    right_level: float
    nodule_height: float
    nodule_offset: float
    nodule_radius: float
    nodule_contrast: float
    chest: float
    rotation_degrees: float
    exposure: float
    noise: float
    seed: int


def split_of(study: Study) -> str:
    """The split that a combination of findings belongs to: a tenth each to validation and test."""
    share = hashlib.sha256(study.combination.encode()).digest()[0] / 256
    return "test" if share < 0.1 else "val" if share < 0.2 else "train"


def draw_phantom(split: str, draw: random.Random) -> Phantom:
    """A phantom of a split, one of :data:`SPLITS`."""
    study = draw_study(draw)
    while split_of(study) != split:
        study = draw_study(draw)

    def value(low: float, high: float) -> float:
        """From the bands of this split."""
        bands = _HELD_OUT.get(split) or [
            band for band in range(BANDS) if not any(band in held for held in _HELD_OUT.values())
        ]
        return low + (high - low) * (draw.choice(bands) + draw.random()) / BANDS

    effusion, nodule = study.effusion, study.nodule
    level = value(*LEVEL[effusion.grade or "uncertain"]) if effusion.status != "absent" else 0.0
    there = nodule.status != "absent"
    return Phantom(
        study=study,
        heart_ratio=value(*HEART[study.heart.grade or study.heart.status]),
        left_level=level if effusion.side in ("left", "bilateral") else 0.0,
        right_level=level if effusion.side in ("right", "bilateral") else 0.0,
        nodule_height=value(*ZONE_HEIGHT[nodule.zone]) if there else 0.0,
        nodule_offset=value(0.0, 0.4) if there else 0.0,
        nodule_radius=value(*NODULE_RADIUS) if there else 0.0,
        nodule_contrast=value(*NODULE_CONTRAST[nodule.status]) if there else 0.0,
        chest=value(0.74, 0.84),
        rotation_degrees=value(-5.0, 5.0),
        exposure=value(0.85, 1.15),
        noise=value(0.005, 0.03),
        seed=draw.getrandbits(32),
    )


def draw_study(draw: random.Random) -> Study:
    """Findings, each independent of the others; a nodule is never where an effusion would hide it."""
    effusion = _effusion(draw)
    return Study(
        heart=_heart(draw),
        effusion=effusion,
        nodule=_nodule(draw, effusion),
        pacemaker=Label("pacemaker", "present" if draw.random() < 0.25 else "absent"),
        catheter=Label("catheter", "present" if draw.random() < 0.25 else "absent"),
    )


def _heart(draw: random.Random) -> Label:
    status = draw.choices(("absent", "uncertain", "present"), (0.45, 0.15, 0.4))[0]
    return Label("cardiomegaly", status, grade=draw.choice(GRADES) if status == "present" else "")


def _effusion(draw: random.Random) -> Label:
    status = draw.choices(("absent", "uncertain", "present"), (0.4, 0.15, 0.45))[0]
    sides: dict[str, tuple[Side, ...]] = {"absent": ("",), "uncertain": ("left", "right")}
    side = draw.choice(sides.get(status, ("left", "right", "bilateral")))
    return Label("effusion", status, side, draw.choice(GRADES) if status == "present" else "")


def _nodule(draw: random.Random, effusion: Label) -> Label:
    status = draw.choices(("absent", "uncertain", "present"), (0.45, 0.15, 0.4))[0]
    if status == "absent":
        return Label("nodule", status)
    side: Side = draw.choice(("left", "right"))
    hidden = effusion.side in (side, "bilateral")
    free = {"mild": 2, "moderate": 1, "marked": 1, "": 2 if hidden else 3}[effusion.grade if hidden else ""]
    return Label("nodule", status, side, zone=draw.choice(ZONES[:free]))
