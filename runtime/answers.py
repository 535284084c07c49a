"""The `Result` of a picture, out of what its search left behind."""

from __future__ import annotations

from dataclasses import dataclass

from cnnrnn.core.errors import NotFiniteError
from cnnrnn.core.manifest import Manifest
from cnnrnn.core.search_reasons import Stopped, reason
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.runtime.backend import Backend
from cnnrnn.runtime.backtrace import Path, trace_back
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.loop import History, Searches
from cnnrnn.runtime.picture import Taken
from cnnrnn.runtime.reading import Columns, confidence_of, read_characters
from cnnrnn.runtime.result import Hypothesis, Result
from cnnrnn.runtime.sections import split_sections


@dataclass(frozen=True)
class About:
    """What an answer is about.

    Attributes:
        what: the picture, or question, is called in an error.
        question: that was asked, if any.
        unknown_words: of the question.
        language: that was asked for, or the bundle's default; None where there is no choice.
    """

    picture: Taken
    what: str
    question: str | None = None
    unknown_words: tuple[str, ...] = ()
    language: str | None = None


@dataclass(frozen=True)
class Answers:
    """What a bundle's captions are made with."""

    manifest: Manifest
    tokenizer: Tokenizer

    def of(
        self, backend: Backend | Searches, about: About, history: History, row: int, clock: Clock
    ) -> Result | NotFiniteError:
        """The answer for one picture, or question, of a batch that has been searched.

        Args:
            row: its own, in the batch.
            clock: of the batch.
        """
        picture = about.picture
        if history.faults[row]:
            advice = "the model itself makes them: train or export it again"
            if backend.precision != "fp32":
                advice = "try precision='fp32'"
            return NotFiniteError(
                f"{about.what} got no caption: the decoder's logits are not finite in step "
                f"{history.faults[row]}, in {backend.name} {backend.precision}; {advice}"
            )
        with clock.stage("backtrace"):
            paths = trace_back(history, row, history.options.n_best)
            hypotheses = tuple(self._hypothesis(path, picture) for path in paths)
        stopped = _stopped(history, row, hypotheses[0])
        return Result(
            hypotheses=hypotheses,
            image=picture.name,
            question=about.question,
            unknown_words=about.unknown_words,
            language=about.language,
            alignment_grid=self.manifest.alignment_grid,
            timings_ms=_timings(picture, clock),
            backend=backend.name,
            precision=backend.precision,
            steps=len(history.tokens),
            stopped=stopped,
            reason=reason(stopped, history.options, len(hypotheses[0].tokens), row),
            loop=None if history.device is None else history.device.loop,
            counters=None if history.device is None else history.device.crossed,
            notice=self.manifest.notice,
            sections=split_sections(hypotheses[0].text, self.manifest.sections),
            missing_views=picture.missing_views,
        )

    def _hypothesis(self, path: Path, picture: Taken) -> Hypothesis:
        if self.manifest.ctc is not None:
            return self._line(path, picture, self.manifest.ctc.blank)
        tokens = tuple(path.tokens.tolist())
        return Hypothesis(
            text=self.tokenizer.decode(tokens),
            tokens=tokens,
            words=tuple(self.tokenizer.tokens(tokens)),
            logprob=path.logprob,
            score=path.score,
            finished=bool(tokens) and tokens[-1] in self.manifest.vocabulary.end,
            token_logprobs=tuple(path.token_logprobs.tolist()),
            alignment=path.alignment,
        )

    def _line(self, path: Path, picture: Taken, blank: int) -> Hypothesis:
        """The text of a path of one token a column."""
        columns = Columns(self.manifest.search.max_length, *picture.size, self.manifest.image)
        characters = read_characters(path, blank, self.tokenizer, columns)
        tokens = tuple(token for token in path.tokens.tolist() if token != blank)
        return Hypothesis(
            text=self.tokenizer.decode(tokens),
            tokens=tokens,
            words=tuple(self.tokenizer.tokens(tokens)),
            logprob=path.logprob,
            score=path.score,
            finished=len(path.tokens) == columns.count,
            token_logprobs=tuple(path.token_logprobs[path.tokens != blank].tolist()),
            alignment=None,
            confidence=confidence_of(path.logprob) if len(path.tokens) else 0.0,
            characters=characters,
        )


def _stopped(history: History, row: int, best: Hypothesis) -> Stopped:
    if not history.done[row]:
        return "deadline"
    if best.finished:
        return "finished"
    return "max_length" if history.finished_steps[row].any() else "no_token"


def _timings(picture: Taken, clock: Clock) -> dict[str, float]:
    """The picture's own stages, then the batch's, then what they took together."""
    stages = {**picture.stages_ms, **clock.stages_ms}
    return {**stages, "total": sum(picture.stages_ms.values()) + clock.total_ms}
