"""What a model answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnrnn.core.search_reasons import Stopped
from cnnrnn.runtime.reading import Character


@dataclass(frozen=True)
class Hypothesis:
    """One caption that the search finished, or the best prefix of one where it finished none.

    Attributes:
        text: the caption.
        tokens: L token ids, without the start token; the last one is an end token if `finished`.
        words: the L tokens as the vocabulary spells them.
        logprob: the tokens' log-probabilities, summed (natural logarithm).
        score: what hypotheses are ranked by: ``logprob`` over the length penalty, ``L**length_penalty`` for
            one, and the coverage penalty where there is one.
        finished: False where the caption was cut off: at ``max_length``, by the deadline, or because no
            token was allowed.
        token_logprobs: each token's log-probability, L of them.
        alignment: (L, P) float32, where the decoder looked when it chose each token, each row's sum 1 where
            the attention is a softmax over the positions; of adaptive attention, whose softmax is over a
            sentinel too, it is 1 less the sentinel's share. None where the model has no attention.
        confidence: of a line that was read along its columns, the probability that the model gives to its
            text: of all ways to write it, with one beam of the likeliest way alone. None of anything else.
            Of such a line ``tokens``, ``words`` and ``token_logprobs`` are its characters', without an end.
        characters: of such a line, each with its place in the picture and its confidence.
    """

    text: str
    tokens: tuple[int, ...]
    words: tuple[str, ...]
    logprob: float
    score: float
    finished: bool
    token_logprobs: tuple[float, ...]
    alignment: NDArray[np.float32] | None
    confidence: float | None = None
    characters: tuple[Character, ...] = ()

    def __repr__(self) -> str:
        return f"Hypothesis({self.text!r}, score={self.score:.4g}, {len(self.tokens)} tokens)"

    def to_dict(self) -> dict[str, Any]:
        """The hypothesis as the command line's ``--json`` prints it."""
        said: dict[str, Any] = {
            "text": self.text,
            "tokens": list(self.tokens),
            "logprob": self.logprob,
            "score": self.score,
            "finished": self.finished,
        }
        if self.confidence is not None:
            said["confidence"] = round(self.confidence, 6)
            said["characters"] = [character.to_dict() for character in self.characters]
        return said


@dataclass(frozen=True)
class Result:
    """The answer for one picture, or for one question about it.

    Attributes:
        hypotheses: best first, at least one.
        image: the picture's path, where it came from one.
        question: what was asked, if anything.
        unknown_words: those of the question that the model has never met, and can make nothing of.
        language: the code of the language it is in, of a bundle that writes several; else None.
        alignment_grid: (rows, columns) of the picture's grid that an alignment's P positions are, row by row.
        timings_ms: wall-clock milliseconds of ``decode`` (file to pixels) and ``preprocess`` (to the
            encoder's size), which are this picture's own, and of ``encoder``, ``step``, ``select``,
            ``backtrace`` and ``total``, which are those of the batch that it was a part of. On a GPU
            ``search`` stands for all steps and selects, and it and ``encoder`` are the GPU's own times; of a
            frame that lies there ``preprocess`` is a part of ``encoder``.
        backend, precision: what ran.
        steps: decoder steps that its batch took.
        stopped: why the search was over: ``"finished"``, the best hypothesis ended by itself;
            ``"max_length"``, it was cut off there; ``"deadline"``, the best so far is given, finished or
            not; ``"no_token"``, nothing was finished and no token was allowed after this prefix.
        reason: the same as a sentence, with the options that were the cause; empty for ``"finished"``.
        loop: on a GPU, the way that its steps were run: ``"while"``, ``"replay"`` or ``"launch"``.
        counters: on a GPU, what crossed between host and device from the first step to the last of its batch,
            and how often the host waited: ``host_to_device_bytes``, ``device_to_host_bytes`` and
            ``synchronizes``.
        notice: what the bundle wants everybody to know who reads the answer; empty for nothing.
        sections: the text of each section, of a bundle whose answers have some; what comes before the first
            is under ``""``.
        missing_views: how many of a bundle's several views were not given.
    """

    hypotheses: tuple[Hypothesis, ...]
    image: str | None
    alignment_grid: tuple[int, int] | None
    timings_ms: dict[str, float]
    backend: str
    precision: str
    steps: int
    stopped: Stopped = "finished"
    reason: str = ""
    loop: str | None = None
    counters: dict[str, int] | None = None
    question: str | None = None
    unknown_words: tuple[str, ...] = ()
    notice: str = ""
    sections: dict[str, str] | None = None
    missing_views: int = 0
    language: str | None = None

    def __repr__(self) -> str:
        count = len(self.hypotheses)
        return f"Result({self.text!r}, score={self.score:.4g}, {count} hypotheses, image={self.image!r})"

    @property
    def best(self) -> Hypothesis:
        """The best hypothesis, whose attributes the result gives as its own."""
        return self.hypotheses[0]

    @property
    def text(self) -> str:
        return self.best.text

    @property
    def score(self) -> float:
        return self.best.score

    @property
    def tokens(self) -> tuple[int, ...]:
        return self.best.tokens

    @property
    def token_logprobs(self) -> tuple[float, ...]:
        return self.best.token_logprobs

    @property
    def alignment(self) -> NDArray[np.float32] | None:
        return self.best.alignment

    @property
    def confidence(self) -> float | None:
        return self.best.confidence

    @property
    def characters(self) -> tuple[Character, ...]:
        return self.best.characters

    @property
    def finished(self) -> bool:
        return self.best.finished

    def to_dict(self) -> dict[str, Any]:
        """The result as one line of the command line's ``--json``."""
        on_device = {} if self.loop is None else {"loop": self.loop, "counters": self.counters}
        asked: dict[str, Any] = {}
        if self.question is not None:
            asked = {"question": self.question, "unknown_words": list(self.unknown_words)}
        told: dict[str, Any] = {"notice": self.notice} if self.notice else {}
        if self.missing_views:
            told["missing_views"] = self.missing_views
        if self.sections is not None:
            told["sections"] = self.sections
        sure = {} if self.confidence is None else {"confidence": round(self.confidence, 6)}
        return {
            "image": self.image,
            **asked,
            **({} if self.language is None else {"language": self.language}),
            "text": self.text,
            **told,
            **sure,
            "score": self.score,
            "tokens": list(self.tokens),
            "hypotheses": [hypothesis.to_dict() for hypothesis in self.hypotheses],
            "stopped": self.stopped,
            "reason": self.reason,
            "timings_ms": {name: round(value, 3) for name, value in self.timings_ms.items()},
            "backend": self.backend,
            "precision": self.precision,
            **on_device,
        }
