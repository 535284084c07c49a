"""Thorax-like pictures of phantoms, from the front and from the side, drawn as attenuation.

Each tissue adds its share of attenuation along the ray, soft at its edges; a picture is one less what comes
through, as on a film. It resembles a radiograph as a phantom of wax does, and teaches nothing of patients.
The patient's left is on the picture's right, as radiographs are hung.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from examples.report.anatomy import Phantom

SIDE = 224
_TOP, _BOTTOM = 0.14, 0.80

Plane = NDArray[np.float32]


def frontal(phantom: Phantom) -> NDArray[np.uint8]:
    """(SIDE, SIDE) uint8, seen from the front."""
    rows, columns = _grid()
    half = phantom.chest / 2
    body = _ellipse(rows, columns, (0.60, 0.5), (0.62, half * 1.16), 0.02)
    total = 1.05 * body
    total += 0.28 * _ellipse(rows, columns, (0.02, 0.5), (0.22, 0.13), 0.02)  # neck
    for sign, level in ((-1.0, phantom.right_level), (1.0, phantom.left_level)):
        total += _lung(rows, columns, half, sign, level)
    total += 0.55 * _band(columns, 0.5, 0.045, 0.01) * body  # spine
    total += 0.25 * _ellipse(rows, columns, (0.33, 0.505), (0.22, 0.075), 0.02)  # mediastinum
    total += 0.62 * _heart(rows, columns, phantom)
    total += _ribs(rows, columns, half) * body
    if phantom.nodule_radius:
        total += _frontal_nodule(rows, columns, phantom, half)
    total += _devices(phantom)
    return _film(total, phantom, 1)


def lateral(phantom: Phantom) -> NDArray[np.uint8]:
    """(SIDE, SIDE) uint8, seen from the patient's left, the sternum to the left of the picture."""
    rows, columns = _grid()
    body = _ellipse(rows, columns, (0.60, 0.5), (0.62, 0.38), 0.02)
    total = 1.25 * body
    lung = _ellipse(rows, columns, (0.46, 0.50), (0.36, 0.29), 0.02)
    floor = 0.74 + 0.10 * (columns - 0.45)
    air = lung * _below(floor, rows, 0.015)
    total -= 0.75 * air
    for level in (phantom.right_level, phantom.left_level):
        if level:  # fluid gathers behind, where the recess is deepest
            surface = floor - level * 0.6 - 0.05 * _ramp(columns, 0.45, 0.8)
            total += 0.34 * lung * (1 - _below(surface, rows, 0.01)) * _ramp(columns, 0.42, 0.60)
    depth = 0.10 + 0.14 * (phantom.heart_ratio - 0.4) / 0.35
    total += 0.42 * _ellipse(rows, columns, (0.60, 0.36), (0.14, depth), 0.02)
    total += 0.40 * _band(columns, 0.77, 0.05, 0.02) * body
    if phantom.nodule_radius:
        height = _TOP + phantom.nodule_height * (_BOTTOM - _TOP)
        middle = 0.5 + 0.3 * (phantom.nodule_offset - 0.2)
        radius = phantom.nodule_radius
        total += phantom.nodule_contrast * _ball(rows, columns, (height, middle), radius)
    return _film(total, phantom, 2)


def _lung(rows: Plane, columns: Plane, half: float, sign: float, level: float) -> Plane:
    """Air takes attenuation away, down to the diaphragm or to the fluid that stands on it."""
    middle = 0.5 + sign * half * 0.54
    shape = _ellipse(rows, columns, (0.47, middle), (0.36, half * 0.43), 0.012)
    dome = _BOTTOM - 0.07 * np.exp(-(((columns - middle) / (half * 0.32)) ** 2))
    dome = dome - (0.02 if sign < 0 else 0.0)  # the liver lifts the right one
    air = shape * _below(dome, rows, 0.008)
    if level:
        outward = sign * (columns - middle) / (half * 0.43)
        surface = _BOTTOM - level * (_BOTTOM - _TOP) - 0.05 * np.clip(outward, 0, 1) ** 2
        air = air * _below(surface, rows, 0.008)
    return np.float32(-0.78) * air


def _heart(rows: Plane, columns: Plane, phantom: Phantom) -> Plane:
    """Two thirds of it lie to the patient's left."""
    width = phantom.heart_ratio * phantom.chest
    left = _ellipse(rows, columns, (0.64, 0.5 + width * 0.14), (0.15, width * 0.52), 0.012)
    right = _ellipse(rows, columns, (0.60, 0.5 - width * 0.10), (0.13, width * 0.27), 0.012)
    return np.maximum(left, right)


def _ribs(rows: Plane, columns: Plane, half: float) -> Plane:
    total = np.zeros_like(rows)
    distance = np.abs(columns - 0.5) / half
    for number in range(8):
        line = 0.12 + number * 0.085 + 0.13 * (distance - 0.25) ** 2 + 0.05 * distance
        total += 0.10 * np.exp(-(((rows - line) / 0.010) ** 2))
    return (total * (distance < 0.98)).astype(np.float32)


def _frontal_nodule(rows: Plane, columns: Plane, phantom: Phantom, half: float) -> Plane:
    sign = 1.0 if phantom.study.nodule.side == "left" else -1.0
    middle = 0.5 + sign * half * (0.54 + 0.43 * phantom.nodule_offset)
    height = _TOP + phantom.nodule_height * (_BOTTOM - _TOP)
    return np.float32(phantom.nodule_contrast) * _ball(rows, columns, (height, middle), phantom.nodule_radius)


def _devices(phantom: Phantom) -> Plane:
    metal = np.zeros((SIDE, SIDE), np.float32)
    half = phantom.chest / 2

    def line(points: list[tuple[float, float]], strength: float, thickness: int) -> None:
        place = np.array([[round(x * SIDE), round(y * SIDE)] for x, y in points], np.int32)
        drawn = np.zeros_like(metal)
        cv2.polylines(drawn, [place], False, strength, thickness, cv2.LINE_AA)
        np.maximum(metal, drawn, out=metal)

    if phantom.study.pacemaker.status == "present":
        box = (round((0.5 + half * 0.70) * SIDE), round(0.20 * SIDE))
        cv2.ellipse(metal, box, (13, 10), 15, 0, 360, 1.6, -1, cv2.LINE_AA)
        line([(0.5 + half * 0.6, 0.2), (0.53, 0.24), (0.48, 0.36), (0.48, 0.55), (0.58, 0.70)], 1.0, 2)
    if phantom.study.catheter.status == "present":
        line([(0.40, 0.0), (0.42, 0.10), (0.455, 0.2), (0.46, 0.42)], 0.7, 2)
    return cv2.GaussianBlur(metal, (0, 0), 0.6).astype(np.float32)


def _film(attenuation: Plane, phantom: Phantom, view: int) -> NDArray[np.uint8]:
    """What comes out of the detector: turned, exposed, noisy."""
    turn = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), phantom.rotation_degrees, 1.0)
    turned = cv2.warpAffine(attenuation, turn, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
    light = 1 - np.exp(-np.clip(turned, 0, None) * phantom.exposure)
    noise = np.random.default_rng((phantom.seed, view)).normal(0, phantom.noise, light.shape)
    return np.clip((light + noise) * 255, 0, 255).astype(np.uint8)


def _grid() -> tuple[Plane, Plane]:
    side = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE
    rows, columns = np.meshgrid(side, side, indexing="ij")
    return rows, columns


def _soft(distance: Plane, width: float) -> Plane:
    """1 inside (negative distance), 0 outside, ``width`` the edge's."""
    return (1 / (1 + np.exp(np.clip(distance / width * 4, -30, 30)))).astype(np.float32)


def _ellipse(
    rows: Plane, columns: Plane, centre: tuple[float, float], radii: tuple[float, float], edge: float
) -> Plane:
    scaled = np.sqrt(((rows - centre[0]) / radii[0]) ** 2 + ((columns - centre[1]) / radii[1]) ** 2)
    return _soft((scaled - 1) * min(radii), edge)


def _ball(rows: Plane, columns: Plane, centre: tuple[float, float], radius: float) -> Plane:
    """The way through a ball, 1 in its middle."""
    square = ((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / radius**2
    return np.sqrt(np.clip(1 - square, 0, None)).astype(np.float32)


def _band(columns: Plane, middle: float, half_width: float, edge: float) -> Plane:
    return _soft(np.abs(columns - middle) - half_width, edge)


def _below(line: Plane, rows: Plane, edge: float) -> Plane:
    """1 above the line in the picture, 0 below it."""
    return _soft(rows - line, edge)


def _ramp(columns: Plane, start: float, end: float) -> Plane:
    return np.clip((columns - start) / (end - start), 0, 1).astype(np.float32)
