"""The precision gate: fp32's graphs and those of a lower precision caption the same pictures freely.

Every search runs on its own from the picture to the last word, so that an error feeds itself back as it would
in use. What counts is the caption, token for token. Of one that differs the report names the step at which
the two searches left the same path, and fp32 alone says whether it was a tie: greedy search chooses word by
word, so there the two words have to be close at that step; a beam search ranks whole captions, so there
fp32's scores of the two captions have to be.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cnnrnn.core.search import SearchOptions
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.export.gate_pictures import Part, Pictures
from cnnrnn.export.line_score import columns_of, text_logprob
from cnnrnn.export.partings import FAR, Decoded, dealt, gap, parting_of, said
from cnnrnn.export.precision.report import RUNS, Judgement, NotFinite
from cnnrnn.export.recording import Recording
from cnnrnn.export.report import Departure, SearchParity
from cnnrnn.runtime.backend import Backend
from cnnrnn.runtime.backtrace import Path, trace_back
from cnnrnn.runtime.loop import SpecialTokens
from cnnrnn.runtime.questions import Questions


def judge(
    expected: Backend,
    found: Mapping[str, Backend],
    pictures: Pictures,
    searches: Sequence[SearchOptions],
    tokenizer: Tokenizer,
    tie: float,
    progress: Callable[[int, int], None] | None = None,
    special: SpecialTokens | None = None,
) -> dict[str, Judgement]:
    """Decode every picture by all backends, once for each search.

    Args:
        expected: fp32's graphs.
        found: what is judged, by name of `RUNS`.
        tie: captions that fp32 scores closer than this are a tie.
        progress: told how many pictures' searches of how many are done; the backends' count as one.
        special: the tokens of the search, where it is not that of a caption.

    Returns:
        A judgement for each of ``found``.
    """
    special = special or SpecialTokens(tokenizer.start, (tokenizer.end,))
    runs = {name: _Run() for name in found}
    oracle = Recording(expected)
    judged = {name: Recording(backend) for name, backend in found.items()}
    done, total = 0, len(searches) * len(pictures)
    for part in pictures.parts():
        for search in searches:
            options = dealt(search, part, tokenizer)
            wanted = Decoded.of(oracle, part, options, special)
            for name, recording in judged.items():
                got = Decoded.of(recording, part, options, special)
                runs[name].note_not_finite(wanted, got, part.names, options.beams)
                compared = _Compared(expected, wanted, got, options, tokenizer, special)
                runs[name].departures[options.beams] += compared.departures(part)
            done += len(part.names)
            if progress is not None:
                progress(done, total)
    return {name: run.judgement(name, len(pictures), searches, tie) for name, run in runs.items()}


def caption_score(
    backend: Backend,
    pair: tuple[NDArray[np.uint8], Questions | None],
    tokens: NDArray[np.int32],
    options: SearchOptions,
    special: SpecialTokens,
) -> float:
    """The score of a given caption of one picture: its log-probability over the length penalty.

    Args:
        pair: the picture, (1, H, W, 3) uint8 RGB, and what is asked.
        tokens: (L) int32, without the start token.
    """
    image, question = pair
    encoded = backend.encode(image, *([] if question is None else [question]))
    state = backend.widen(encoded.state, 1)
    parents = backend.from_host(np.zeros((1, 1), np.int32))
    logprob = 0.0
    (start,) = options.starts(1, special.start)
    for before, token in zip((start, *tokens[:-1]), tokens, strict=True):
        given = backend.from_host(np.array([[before]], np.int32))
        stepped = backend.step(given, parents, state, encoded.memory)
        logits = backend.to_host(stepped.logits)[0, 0].astype(np.float64)
        peak = logits.max()
        logprob += float(logits[token] - peak - np.log(np.exp(logits - peak).sum()))
        state = stepped.state
    return logprob / options.divisor(len(tokens)) if len(tokens) else 0.0


@dataclass(frozen=True)
class _Compared:
    """One batch's two searches."""

    backend: Backend
    expected: Decoded
    found: Decoded
    options: SearchOptions
    tokenizer: Tokenizer
    special: SpecialTokens

    def departures(self, part: Part) -> list[Departure]:
        """The pictures whose best captions differ."""
        result = []
        for image, name in enumerate(part.names):
            wanted, got = (_best(decoded, image) for decoded in (self.expected, self.found))
            if (
                wanted is not None
                and got is not None
                and said(wanted, self.special) == said(got, self.special)
            ):
                continue
            parting = parting_of(self.expected, self.found, image)
            step, beam = (None, 0) if parting is None else (parting.step, parting.beam)
            if wanted is None or got is None:
                score_gap = FAR
            elif self.options.beams == 1 and parting is not None and self.special.blank is None:
                score_gap = parting.expected_gap
            else:
                score_gap = gap(*(self._score(part, image, path) for path in (wanted, got)))
            captions = [self.tokenizer.decode(path.tokens) if path else "" for path in (wanted, got)]
            result.append(Departure(name, self.options.beams, step, beam, score_gap, *captions))
        return result

    def _score(self, part: Part, image: int, path: Path) -> float:
        if self.special.blank is not None:
            picture, _ = part.pair(image)
            columns = columns_of(self.backend, picture, self.options.longest, self.special.start)
            return text_logprob(columns, said(path, self.special), self.special.blank)
        return caption_score(
            self.backend, part.pair(image), path.tokens, self.options.of_images([image]), self.special
        )


def _best(decoded: Decoded, image: int) -> Path | None:
    """The best caption; None where the logits were not finite."""
    paths = trace_back(decoded.history, image, 1)
    return paths[0] if paths else None


@dataclass
class _Run:
    """What is known of one way of running so far."""

    departures: defaultdict[int, list[Departure]] = field(default_factory=lambda: defaultdict(list))
    not_finite: dict[str, NotFinite] = field(default_factory=dict)

    def note_not_finite(self, wanted: Decoded, got: Decoded, names: Sequence[str], beams: int) -> None:
        """Note the logits of which the search found a NaN or infinity, and the encoder's tensors."""
        for image, name in enumerate(names):
            fault = int(got.history.faults[image])
            if fault:
                self._add("logits", name, beams, fault - 1)
            for tensor, array in got.encoded.items():
                if not np.isfinite(array[image]).all() and np.isfinite(wanted.encoded[tensor][image]).all():
                    self._add(tensor, name, beams, None)

    def judgement(self, name: str, pictures: int, searches: Sequence[SearchOptions], tie: float) -> Judgement:
        summaries = tuple(_summary(options.beams, pictures, self, tie) for options in searches)
        return Judgement(RUNS[name], summaries, tuple(self.not_finite.values()))

    def _add(self, tensor: str, picture: str, beams: int, step: int | None) -> None:
        known = self.not_finite.get(tensor, NotFinite(tensor, 0, picture, beams, step))
        self.not_finite[tensor] = NotFinite(
            tensor, known.searches + 1, known.picture, known.beams, known.step
        )


def _summary(beams: int, pictures: int, run: _Run, tie: float) -> SearchParity:
    departures = run.departures[beams]
    ties = tuple(departure for departure in departures if departure.score_gap < tie)
    others = tuple(departure for departure in departures if departure.score_gap >= tie)
    return SearchParity(beams, pictures, pictures - len(departures), ties, others)
