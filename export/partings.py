"""Where two backends' searches of the same pictures part, and how far apart their choices are there."""

from __future__ import annotations

import dataclasses
import zlib
from dataclasses import dataclass

import numpy as np

from cnnrnn.core.search import SearchOptions
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.export.gate_pictures import Part
from cnnrnn.export.recording import Arrays, Recording
from cnnrnn.runtime.backtrace import Path
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.loop import History, SpecialTokens, decode
from cnnrnn.runtime.select import DEAD

# In place of infinity and NaN, which JSON does not have.
FAR = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Decoded:
    """A batch's free-running search, and every tensor that the graphs made for it (see `Recording`)."""

    history: History
    encoded: Arrays
    steps: list[Arrays]

    @staticmethod
    def of(recording: Recording, part: Part, options: SearchOptions, special: SpecialTokens) -> Decoded:
        """Search for the captions of some pictures, or the answers to their questions."""
        history = decode(recording, part.images, options, special, Clock(), questions=part.questions)
        return Decoded(history, recording.encoded, recording.steps)


def dealt(options: SearchOptions, part: Part, tokenizer: Tokenizer) -> SearchOptions:
    """The search with a language for each picture, by its name, so that the gates go through all of them."""
    tokens = tuple(tokenizer.languages.values())
    if not tokens:
        return options
    start = tuple(tokens[zlib.crc32(name.encode()) % len(tokens)] for name in part.names)
    return dataclasses.replace(options, start=start)


@dataclass(frozen=True)
class Parting:
    """The first step and beam at which two searches of one image chose differently.

    ``expected_gap`` is how far apart the two choices are in the score of the first search, ``found_gap`` in
    that of the second; both are the sums of a beam's log-probabilities.
    """

    step: int
    beam: int
    expected_gap: float
    found_gap: float


def parting_of(expected: Decoded, found: Decoded, image: int) -> Parting | None:
    """Where the live beams of one image first differ; None where they never do."""
    one, other = expected.history, found.history
    for step in range(min(len(one.tokens), len(other.tokens))):
        differ = (one.tokens[step, image] != other.tokens[step, image]) | (
            one.parents[step, image] != other.parents[step, image]
        )
        if differ.any():
            beam = int(differ.argmax())
            chosen = [
                (int(history.parents[step, image, beam]), int(history.tokens[step, image, beam]))
                for history in (one, other)
            ]
            gaps = [
                gap(*(_candidate_score(decoded, image, step, *candidate) for candidate in chosen))
                for decoded in (expected, found)
            ]
            return Parting(step, beam, *gaps)
    return None


def said(path: Path, special: SpecialTokens) -> list[int]:
    """What a hypothesis says: its tokens, and of a line's columns those that are characters."""
    tokens: list[int] = path.tokens.tolist()
    return tokens if special.blank is None else [token for token in tokens if token != special.blank]


def gap(one: float, other: float) -> float:
    """How far two scores are apart; `FAR` where one of them is not finite."""
    with np.errstate(invalid="ignore"):
        found = abs(float(one) - float(other))
    return found if np.isfinite(found) else FAR


def _candidate_score(decoded: Decoded, image: int, step: int, parent: int, token: int) -> float:
    """What a search gives a live beam that goes on with a token: the sum of its log-probabilities."""
    logits = decoded.steps[step]["logits"][image, parent].astype(np.float64)
    with np.errstate(invalid="ignore"):
        peak = logits.max()
        own = logits[token] - peak - np.log(np.exp(logits - peak).sum())
    before = float(decoded.history.scores[step - 1, image, parent]) if step else DEAD * bool(parent)
    return before + float(own)
