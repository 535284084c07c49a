"""The range of each option of the search that is a number, and how a message names an option.

The checks, the command line's help and `docs/search.md` all take their ranges from here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cnnrnn.core.errors import OptionsError

MAX_BEAMS = 32
MAX_LENGTH = 1024
MAX_PENALTY = 4.0
MAX_NGRAM = 4
# TensorRT's TopK gives no more.
MAX_TOP_K = 3840


@dataclass(frozen=True)
class Limits:
    """From ``low`` to ``high``, both included; ``hint`` says what a usual value is, or what one means."""

    low: float
    high: float
    hint: str
    integer: bool = False

    def __str__(self) -> str:
        if math.isinf(self.high):
            return f"{self.low:g} or more"
        if self.high == 2**64 - 1:
            return f"{self.low:g} to 2^64 - 1"
        return f"{self.low:g} to {self.high:g}"


LIMITS = {
    "beams": Limits(1, MAX_BEAMS, "1 is greedy search, usual are 3 to 8", integer=True),
    "max_length": Limits(1, MAX_LENGTH, "a caption has 10 to 50 tokens", integer=True),
    "min_length": Limits(0, MAX_LENGTH, "0 allows an empty answer", integer=True),
    "length_penalty": Limits(-MAX_PENALTY, MAX_PENALTY, "0 is none, usual are 0 to 2"),
    "n_best": Limits(1, MAX_BEAMS, "1 lists the best one alone", integer=True),
    "coverage_penalty": Limits(0, 10, "0 is none, usual are 0.1 to 0.4"),
    "repetition_penalty": Limits(0.01, 100, "1 is none, usual are 1 to 2"),
    "no_repeat_ngram_size": Limits(0, MAX_NGRAM, "0 allows every repetition", integer=True),
    "num_beam_groups": Limits(1, MAX_BEAMS, "1 is an ordinary beam search", integer=True),
    "diversity_penalty": Limits(0, 100, "0 is none, usual are 0.2 to 1"),
    "temperature": Limits(0.001, 100, "1 leaves the model as it is, the least takes the likeliest token"),
    "top_k": Limits(0, MAX_TOP_K, "0 draws from the whole vocabulary", integer=True),
    "top_p": Limits(1e-6, 1, "1 draws from the whole vocabulary"),
    "min_p": Limits(0, 1, "0 draws from the whole vocabulary"),
    "seed": Limits(0, 2**64 - 1, "it is an unsigned 64-bit number", integer=True),
    "deadline_ms": Limits(0, math.inf, "give milliseconds, or leave it out for none"),
}


class Wording:
    """How a message names an option: here as the keyword of a call; a command line has its own."""

    def name(self, option: str) -> str:
        """The option alone."""
        return option

    def given(self, option: str, value: object) -> str:
        """The option with a value, as one writes it."""
        return f"{option}={value!r}"


KEYWORDS = Wording()


def listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def check_limits(
    wording: Wording, option: str, value: object, high: float | None = None, above: str = ""
) -> None:
    """Refuse a value that is no number, or outside the option's limits.

    Args:
        high: a limit below the usual one, for what else is asked for.
        above: why there is no more than ``high``, and what to do about it.

    Raises:
        OptionsError: naming the option, its value, the limit and the fix.
    """
    limits = LIMITS[option]
    if high is not None:
        limits = Limits(limits.low, high, limits.hint, limits.integer)
    given = wording.given(option, value)
    wanted = int if limits.integer else (int, float)
    if isinstance(value, bool) or not isinstance(value, wanted) or not math.isfinite(value):
        kind = "an integer" if limits.integer else "a finite number"
        raise OptionsError(f"{given} is not {kind}; give {limits}: {limits.hint}")
    if not limits.low <= value <= limits.high:
        why = above if value > limits.high and above else limits.hint
        where = f"below {limits.low:g}" if math.isinf(limits.high) else f"outside {limits}"
        raise OptionsError(f"{given} is {where}: {why}")
