"""Why a search was over, as a sentence for people."""

from __future__ import annotations

from typing import Literal, TypeAlias

from cnnrnn.core.search import SearchOptions
from cnnrnn.core.search_limits import KEYWORDS, Wording, listed

Stopped: TypeAlias = Literal["finished", "max_length", "deadline", "no_token"]


def reason(
    stopped: Stopped, options: SearchOptions, tokens: int, image: int = 0, wording: Wording = KEYWORDS
) -> str:
    """What `Stopped` means for an answer; empty where it ended by itself.

    Args:
        options: of the search.
        tokens: of the answer, its end token included.
        image: its place in the batch, where an option has a value for each.
        wording: how options are named.
    """
    if stopped == "finished":
        return ""
    if stopped == "max_length":
        return f"cut off at {wording.given('max_length', options.max_lengths(image + 1)[image])}"
    if stopped == "deadline":
        return f"{wording.given('deadline_ms', options.deadline_ms)} had passed; the best so far"
    left = f"no token may follow these {tokens}" if tokens else "no token may come first"
    if options.phrases is not None:  # what is forbidden is not among them
        return f"{left}: the model gives -inf to all that {wording.name('phrases')} allows"
    found = _restrictions(options, tokens, wording)
    if not found:
        return f"{left}: the model gives all of them -inf"
    return f"{left}: {listed(found)} leave{'s' * (len(found) == 1)} none; allow more"


def _restrictions(options: SearchOptions, tokens: int, wording: Wording) -> list[str]:
    """The options that forbid tokens after as many as there are."""
    named = ("suppress_tokens", "bad_words_ids")
    found = [wording.name(option) for option in named if getattr(options, option)]
    if options.no_repeat_ngram_size:
        found.append(wording.given("no_repeat_ngram_size", options.no_repeat_ngram_size))
    if found and tokens < options.min_length:
        found.append(wording.given("min_length", options.min_length))
    return found
