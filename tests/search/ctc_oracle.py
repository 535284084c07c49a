"""CTC in plain Python: sums over every alignment, a prefix beam search with dictionaries, the best path."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import groupby, product

import numpy as np

Text = tuple[int, ...]


def collapsed(path: Text, blank: int) -> Text:
    """The text that a token a column writes."""
    return tuple(token for token, _ in groupby(path) if token != blank)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def every_text(logprobs: np.ndarray, characters: Text, blank: int) -> dict[Text, float]:
    """The log-probability of every text that (P, V) can write, by summing over every alignment."""
    found: dict[Text, float] = defaultdict(float)
    columns = range(len(logprobs))
    for path in product((blank, *characters), repeat=len(logprobs)):
        found[collapsed(path, blank)] += math.exp(sum(logprobs[t, path[t]] for t in columns))
    return {text: math.log(mass) for text, mass in found.items()}


def best_path(logprobs: np.ndarray, characters: Text, blank: int) -> tuple[Text, float]:
    allowed = np.asarray(sorted((blank, *characters)))
    places = logprobs[:, allowed].argmax(axis=1)
    path = tuple(allowed[places].tolist())
    return collapsed(path, blank), float(sum(logprobs[t, token] for t, token in enumerate(path)))


def prefix_beam_search(
    logprobs: np.ndarray, characters: Text, blank: int, beams: int, begins: set[Text] | None = None
) -> list[tuple[Text, float]]:
    """The prefixes that are live after the last column, best first.

    Args:
        begins: every prefix of a lexicon's words, if there is a lexicon.
    """
    live: dict[Text, tuple[float, float]] = {(): (0.0, -math.inf)}  # ending in a blank, in a character
    for row in logprobs:
        blanks: dict[Text, list[float]] = defaultdict(list)
        others: dict[Text, list[float]] = defaultdict(list)
        for prefix, (in_blank, in_character) in live.items():
            whole = np.logaddexp(in_blank, in_character)
            blanks[prefix].append(whole + row[blank])
            for character in characters:
                again = bool(prefix) and prefix[-1] == character
                if again:
                    others[prefix].append(in_character + row[character])
                longer = (*prefix, character)
                if begins is None or longer in begins:
                    others[longer].append((in_blank if again else whole) + row[character])
        scored = {prefix: (_sum(blanks[prefix]), _sum(others[prefix])) for prefix in {*blanks, *others}}
        ranked = sorted(scored.items(), key=lambda entry: -np.logaddexp(*entry[1]))
        live = dict(entry for entry in ranked[:beams] if np.logaddexp(*entry[1]) > -math.inf)
    return [(prefix, float(np.logaddexp(*both))) for prefix, both in live.items()]


def _sum(logprobs: list[float]) -> float:
    return float(np.logaddexp.reduce(logprobs)) if logprobs else -math.inf
