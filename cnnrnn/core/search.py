"""The options of the search, and the one place where they are checked.

Names and meanings are those of Transformers' ``GenerationConfig`` where it has the option: ``beams`` is
``num_beams``, ``max_length`` is ``max_new_tokens`` (the start token is not counted, the end token is),
``min_length`` is ``min_new_tokens`` and ``n_best`` is ``num_return_sequences``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from cnnrnn.core.errors import OptionsError
from cnnrnn.core.manifest import Manifest

EarlyStopping = bool | Literal["never"]

MAX_BEAMS = 32
MAX_LENGTH = 1024
MAX_PENALTY = 4.0


@dataclass(frozen=True)
class SearchOptions:
    """How to search for the best token sequence.

    Attributes:
        beams: K, the beam width; 1 is greedy search.
        max_length: most tokens in an answer, the end token included.
        min_length: tokens that have to come before the end token: 1 forbids an empty caption, 0 forbids
            nothing.
        length_penalty: p in ``score = log-probability / length**p``; above 0 favours long answers, 0 ranks
            by log-probability alone, below 0 favours short ones.
        early_stopping: ``True`` stops an image at its K-th finished hypothesis; ``False`` stops when the
            best live beam, at its present length, cannot beat the worst of K finished ones; ``"never"``
            stops when no live beam can, at any length up to ``max_length``.
        n_best: how many hypotheses an answer lists, at most K.
    """

    beams: int
    max_length: int
    min_length: int = 1
    length_penalty: float = 1.0
    early_stopping: EarlyStopping = False
    n_best: int = 1


def options_for(
    manifest: Manifest,
    *,
    beams: int | None = None,
    max_length: int | None = None,
    min_length: int | None = None,
    length_penalty: float | None = None,
    early_stopping: EarlyStopping | None = None,
    n_best: int | None = None,
) -> SearchOptions:
    """The manifest's defaults with the given options over them, checked.

    ``n_best`` is the beam width where it is not given.

    Raises:
        OptionsError: as `check`.
    """
    defaults = manifest.search
    width = defaults.beams if beams is None else beams
    options = SearchOptions(
        beams=width,
        max_length=defaults.max_length if max_length is None else max_length,
        min_length=defaults.min_length if min_length is None else min_length,
        length_penalty=defaults.length_penalty if length_penalty is None else length_penalty,
        early_stopping=False if early_stopping is None else early_stopping,
        n_best=width if n_best is None else n_best,
    )
    check(options, manifest)
    return options


def check(options: SearchOptions, manifest: Manifest) -> None:
    """Refuse options that this bundle cannot search with.

    Raises:
        OptionsError: naming the option, its value, the limit and the fix.
    """
    most = manifest.search.max_beams
    _check_integer("beams", options.beams, 1, most, f"bundle {manifest.name!r} was exported for up to {most}")
    _check_integer("max_length", options.max_length, 1, MAX_LENGTH, "a caption is shorter than that")
    _check_integer(
        "min_length",
        options.min_length,
        0,
        options.max_length,
        f"it cannot be above max_length={options.max_length}",
    )
    _check_integer(
        "n_best",
        options.n_best,
        1,
        options.beams,
        f"a search of {options.beams} beams keeps no more; raise beams",
    )
    penalty = options.length_penalty
    if isinstance(penalty, bool) or not isinstance(penalty, (int, float)) or not math.isfinite(penalty):
        raise OptionsError(f"length_penalty={penalty!r} is not a finite number; 1.0 divides by the length")
    if abs(penalty) > MAX_PENALTY:
        raise OptionsError(
            f"length_penalty={penalty!r} is outside -{MAX_PENALTY:g} to {MAX_PENALTY:g}; usual are 0 to 2"
        )
    stopping = options.early_stopping
    if not isinstance(stopping, bool) and stopping != "never":
        raise OptionsError(f"early_stopping={stopping!r} is none of True, False and 'never'")


def _check_integer(name: str, value: object, low: int, high: int, why: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise OptionsError(f"{name}={value!r} is not an integer; give one from {low} to {high}")
    if not low <= value <= high:
        raise OptionsError(f"{name}={value} is outside {low} to {high}: {why}")
