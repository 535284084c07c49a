"""What the options of a search forbid, told from tokens alone, without the model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnnrnn.core.search import SearchOptions

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class Bans:
    """The options by which a token may not come after those before; equal where they forbid the same way.

    Attributes:
        suppress_tokens, bad_words_ids, no_repeat_ngram_size, min_length: as `SearchOptions` has them.
        start: the token that is fed first, which n-grams and sequences count.
        ends: the tokens that end an answer.
    """

    suppress_tokens: Tokens
    bad_words_ids: tuple[Tokens, ...]
    no_repeat_ngram_size: int
    min_length: int
    start: int
    ends: Tokens

    @classmethod
    def of(cls, options: SearchOptions, start: int, ends: Tokens) -> Bans:
        """Those of a search."""
        return cls(
            options.suppress_tokens,
            options.bad_words_ids,
            options.no_repeat_ngram_size,
            options.min_length,
            start,
            ends,
        )

    def after(self, fed: Tokens) -> tuple[str, Tokens] | None:
        """The option by which the last token may not come after those before, and the tokens it is about."""
        if fed[-1] in self._suppressed:
            return "suppress_tokens", fed[-1:]
        for length, sequences in self._sequences.items():
            if fed[-length:] in sequences:
                return "bad_words_ids", fed[-length:]
        n = self.no_repeat_ngram_size
        if n and any(fed[start : start + n] == fed[-n:] for start in range(len(fed) - n)):
            return "no_repeat_ngram_size", fed[-n:]
        return None

    def allow(self, answer: Tokens) -> bool:
        """Whether these tokens and an end token after them may come, whatever the model says."""
        if len(answer) < self.min_length:
            return False
        if not (self.suppress_tokens or self.bad_words_ids or self.no_repeat_ngram_size):
            return True
        fed = (self.start, *answer)
        if any(self.after(fed[:length]) for length in range(2, len(fed) + 1)):
            return False
        return any(self.after((*fed, end)) is None for end in self.ends)

    @cached_property
    def tokens(self) -> frozenset[int]:
        """The tokens that never come, whatever came before."""
        return self._suppressed | {word for (word,) in self._sequences.get(1, ())}

    @cached_property
    def _suppressed(self) -> frozenset[int]:
        return frozenset(self.suppress_tokens)

    @cached_property
    def _sequences(self) -> dict[int, set[Tokens]]:
        """Forbidden sequences by their length; those of end tokens alone are not among them."""
        found: dict[int, set[Tokens]] = {}
        for words in self.bad_words_ids:
            if not set(words) <= set(self.ends):
                found.setdefault(len(words), set()).add(words)
        return found
