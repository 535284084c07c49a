"""Tokens as soon as they are settled: those that no hypothesis which can still win has otherwise."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from cnnrnn.core.errors import RequestError
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.runtime.loop import History, Searching, Steps
from cnnrnn.runtime.result import Result
from cnnrnn.runtime.select import DEAD

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class Settled:
    """A piece of the answer that will stay.

    Attributes:
        text: what it adds to the text; empty for an end token, and where a character is not whole yet.
        tokens: what it adds to the tokens.
    """

    text: str
    tokens: Tokens


class Settling:
    """Follows the live beams of one image, and tells which tokens all hypotheses that can win begin with."""

    def __init__(self) -> None:
        self._beams: list[Tokens] | None = None
        self._best: Tokens | None = None

    def after(self, step: Steps) -> Tokens:
        """The settled tokens after one more step; each answer starts with the one before."""
        tokens, parents, scores = step.tokens[0, 0], step.parents[0, 0], step.scores[0, 0]
        before: list[Tokens] = self._beams or [()] * len(tokens)
        length = len(before[0]) + 1
        slot = int(np.argmax(step.finished_scores[0]))
        if step.finished_steps[0, slot] == length:
            self._best = (*before[step.finished_beams[0, slot]], int(step.finished_tokens[0, slot]))
        pairs = zip(parents.tolist(), tokens.tolist(), strict=True)
        self._beams = [(*before[parent], token) for parent, token in pairs]
        alive = (scores > DEAD / 2).tolist()
        winning = [beam for beam, lives in zip(self._beams, alive, strict=True) if lives]
        if self._best is not None:
            winning.append(self._best)
        return tuple(column[0] for column in takewhile(_alike, zip(*winning, strict=False)))


def _alike(column: Tokens) -> bool:
    return len(set(column)) == 1


class Stream(Iterator[Settled]):
    """The pieces of one picture's answer, in order; `cnnrnn.runtime.model.Model.stream` makes it.

    Whoever does not want the last piece closes it, or lets go of it.

    Args:
        search: of one image, before its first step.
        tokenizer: turns tokens into text.
        answer: the result of what the search has left behind.
    """

    def __init__(self, search: Searching, tokenizer: Tokenizer, answer: Callable[[History], Result]) -> None:
        self._search, self._answering = search, _Answering(search, tokenizer, answer)
        self._pieces = self._answering.pieces()
        weakref.finalize(self, search.abandon).atexit = False

    @property
    def result(self) -> Result:
        """The whole answer, once the last piece has been given.

        Raises:
            RequestError: pieces are left.
        """
        if self._answering.result is None:
            raise RequestError("the answer is not complete; iterate to the last piece first")
        return self._answering.result

    def __next__(self) -> Settled:
        return next(self._pieces)

    def close(self) -> None:
        """End the search before its last piece; nothing more comes."""
        self._search.close()
        self._pieces.close()


class _Answering:
    """What a stream has said so far. It knows nothing of the stream, which goes when nobody has it."""

    def __init__(self, search: Searching, tokenizer: Tokenizer, answer: Callable[[History], Result]) -> None:
        self._search, self._tokenizer, self._answer = search, tokenizer, answer
        self.result: Result | None = None
        self._text = ""
        self._tokens: Tokens = ()

    def pieces(self) -> Generator[Settled, None, None]:
        settling = Settling()
        going = True
        while going:
            going = self._search.advance()
            settled = settling.after(self._search.latest()) if going else self._tokens
            if len(settled) > len(self._tokens):
                yield self._piece(
                    settled, self._tokenizer.decode(settled).rstrip("\N{REPLACEMENT CHARACTER}")
                )
        self.result = self._answer(self._search.history())
        if self.result.tokens != self._tokens or self.result.text != self._text:
            yield self._piece(self.result.tokens, self.result.text)

    def _piece(self, tokens: Tokens, text: str) -> Settled:
        """The piece up to here; the text waits where more tokens would change its end."""
        fresh = tokens[len(self._tokens) :]
        added = text[len(self._text) :] if text.startswith(self._text) else ""
        self._tokens, self._text = tokens, self._text + added
        return Settled(added, fresh)
