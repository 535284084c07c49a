"""The parity gate: torch and ONNX Runtime caption the same pictures freely, and everything is compared.

Both decode on their own, so that an error feeds itself back as it would in use; as long as a picture's two
searches have chosen the same tokens, their tensors are compared too. Where the searches part, each is asked
how it scores what the other chose: if to both the two are closer than 1e-4, it was a numerical tie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnrnn.core.search import SearchOptions
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.export.gate_pictures import Pictures
from cnnrnn.export.partings import FAR, Decoded, Parting, dealt, gap, parting_of, said
from cnnrnn.export.recording import Arrays, Recording
from cnnrnn.export.report import Departure, SearchParity, TensorParity
from cnnrnn.export.tolerances import TIE, tolerance_of
from cnnrnn.runtime.backend import Backend
from cnnrnn.runtime.backtrace import Path, trace_back
from cnnrnn.runtime.loop import SpecialTokens


def compare(
    expected: Backend,
    found: Backend,
    pictures: Pictures,
    searches: Sequence[SearchOptions],
    tokenizer: Tokenizer,
    progress: Callable[[int, int], None] | None = None,
    special: SpecialTokens | None = None,
) -> tuple[tuple[SearchParity, ...], dict[str, TensorParity]]:
    """Decode every picture by both backends, once for each search.

    Args:
        expected: the oracle.
        found: what is judged.
        progress: told how many decodings of how many are done.
        special: the tokens of the search, where it is not that of a caption.

    Returns:
        A result for each search, and one for each tensor that the judged backend makes.
    """
    special = special or SpecialTokens(tokenizer.start, (tokenizer.end,))
    tensors: dict[str, _Worst] = {}
    departures: list[list[Departure]] = [[] for _ in searches]
    recordings = Recording(expected), Recording(found)
    done, total = 0, len(searches) * len(pictures)
    for part in pictures.parts():
        names = part.names
        for search, departed in zip(searches, departures, strict=True):
            options = dealt(search, part, tokenizer)
            one, other = (Decoded.of(recording, part, options, special) for recording in recordings)
            partings = [parting_of(one, other, image) for image in range(len(names))]
            _compare_tensors(one, other, names, partings, tensors)
            departed += _departures((one, other), names, partings, options, tokenizer, special)
            done += len(names)
            if progress is not None:
                progress(done, total)
    results = (
        _summary(options.beams, len(pictures), departed)
        for options, departed in zip(searches, departures, strict=True)
    )
    return tuple(results), {name: worst.report(name) for name, worst in tensors.items()}


def _compare_tensors(
    expected: Decoded,
    found: Decoded,
    names: Sequence[str],
    partings: Sequence[Parting | None],
    tensors: dict[str, _Worst],
) -> None:
    """Compare what both made, picture by picture, up to and with the step at which their choices part."""
    for image, parting in enumerate(partings):
        pairs: list[tuple[int | None, Arrays, Arrays]] = [(None, expected.encoded, found.encoded)]
        last = len(found.steps) if parting is None else parting.step + 1
        pairs += [
            (step, *arrays)
            for step, arrays in enumerate(zip(expected.steps[:last], found.steps[:last], strict=False))
        ]
        for step, wanted, got in pairs:
            for name, array in got.items():
                worst = tensors.setdefault(name, _Worst())
                worst.add(name, wanted[name][image], array[image], names[image], step)


class _Worst:
    """The largest difference of one tensor so far."""

    def __init__(self) -> None:
        self._compared = 0
        self._largest = 0.0
        self._share = -1.0
        self._picture = ""
        self._step: int | None = None

    def add(self, name: str, wanted: NDArray[Any], got: NDArray[Any], picture: str, step: int | None) -> None:
        self._compared += 1
        difference, share = _share_of_tolerance(name, wanted, got)
        self._largest = max(self._largest, difference)
        if share > self._share:
            self._share, self._picture, self._step = share, picture, step

    def report(self, name: str) -> TensorParity:
        tolerance = tolerance_of(name)
        limit = f"{tolerance.absolute:g} + {tolerance.relative:g} of the largest value: {tolerance.reason}"
        return TensorParity(self._compared, self._largest, self._share, self._picture, self._step, limit)


def _share_of_tolerance(name: str, wanted: NDArray[Any], got: NDArray[Any]) -> tuple[float, float]:
    """The largest difference of two tensors, and its share of the tolerance; NaN counts as far beyond."""
    if wanted.shape != got.shape or not np.isfinite(got).all():
        return FAR, FAR
    difference = float(np.abs(wanted.astype(np.float64) - got.astype(np.float64)).max(initial=0.0))
    if np.issubdtype(wanted.dtype, np.integer):
        return difference, FAR if difference else 0.0
    tolerance = tolerance_of(name)
    limit = tolerance.absolute + tolerance.relative * float(np.abs(wanted).max(initial=0.0))
    return difference, difference / limit


def _departures(
    pair: tuple[Decoded, Decoded],
    names: Sequence[str],
    partings: Sequence[Parting | None],
    options: SearchOptions,
    tokenizer: Tokenizer,
    special: SpecialTokens,
) -> list[Departure]:
    """The pictures whose finished hypotheses differ, with where their searches parted."""
    expected, found = pair
    result = []
    for image, name in enumerate(names):
        wanted = trace_back(expected.history, image, options.beams)
        got = trace_back(found.history, image, options.beams)
        if [said(path, special) for path in wanted] == [said(path, special) for path in got]:
            continue
        parting = partings[image]
        # The score of a line's prefix is a sum over many ways: whole rankings are compared.
        if parting is None or special.blank is not None:
            place, score_gap = _ranking_gap(wanted, got, special)
            step = None
        else:
            step, place = parting.step, parting.beam
            score_gap = max(parting.expected_gap, parting.found_gap)
        captions = [tokenizer.decode(paths[0].tokens) if paths else "" for paths in (wanted, got)]
        result.append(Departure(name, options.beams, step, place, score_gap, *captions))
    return result


def _ranking_gap(wanted: Sequence[Path], got: Sequence[Path], special: SpecialTokens) -> tuple[int, float]:
    """The first place of two rankings that differs, and by how much the oracle prefers its own there.

    What the oracle has dropped from its ranking is taken at the other's score.
    """
    scores = {tuple(said(path, special)): path.score for path in (*got, *wanted)}
    for place, (one, other) in enumerate(zip(wanted, got, strict=False)):
        key = tuple(said(other, special))
        if key != tuple(said(one, special)):
            return place, gap(one.score, scores[key])
    return min(len(wanted), len(got)), FAR


def _summary(beams: int, pictures: int, departures: Sequence[Departure]) -> SearchParity:
    ties = tuple(departure for departure in departures if departure.score_gap < TIE)
    mismatches = tuple(departure for departure in departures if departure.score_gap >= TIE)
    return SearchParity(beams, pictures, pictures - len(departures), ties, mismatches)
