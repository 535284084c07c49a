"""A search's options as the inputs of its select graph: the state before the first step, and what stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnrnn.core.manifest import Manifest
from cnnrnn.core.phrases import Phrases
from cnnrnn.core.search import SearchOptions
from cnnrnn.core.search_bans import Bans
from cnnrnn.core.search_limits import MAX_LENGTH, MAX_NGRAM
from cnnrnn.runtime.select import DEAD, EMPTY, STOPS, SelectKind, constant_specs, state_specs

Arrays = dict[str, NDArray[Any]]

# Above every token; what is below 0 would fit all of them.
_NO_TOKEN = np.iinfo(np.int32).max


@dataclass(frozen=True)
class SpecialTokens:
    """The ids that the loop itself has to know: the token fed first, unless the
    search's options have another, and those that end a caption.

    Attributes:
        blank: of CTC, whose search goes along columns; None of every other.
        silent: of CTC, all that are no characters.
    """

    start: int
    end: tuple[int, ...]
    blank: int | None = None
    silent: tuple[int, ...] = ()

    @classmethod
    def of(cls, manifest: Manifest) -> SpecialTokens:
        """Those of a bundle."""
        vocabulary, ctc = manifest.vocabulary, manifest.ctc
        if ctc is None:
            return cls(vocabulary.start, vocabulary.end)
        silent = {ctc.blank, vocabulary.pad, vocabulary.start, *vocabulary.end}
        if vocabulary.unknown is not None:
            silent.add(vocabulary.unknown)
        return cls(vocabulary.start, vocabulary.end, ctc.blank, tuple(sorted(silent)))


def start(
    kind: SelectKind,
    batch: int,
    options: SearchOptions,
    special: SpecialTokens,
    vocabulary: int,
    room: int | None = None,
) -> tuple[Arrays, Arrays]:
    """The search's state before the first step, and the inputs that stay the same.

    A coverage has the shape of an alignment, which the first step tells: it is not among them.

    Args:
        room: for how many tokens there is room, where that is more than the longest ``max_length``.
    """
    starts = options.starts(batch, special.start)
    steps = max(room or options.longest, MAX_NGRAM) + 1  # the start token's place, and a whole n-gram's
    shape = (batch, kind.beams)
    scores = np.full(shape, DEAD, np.float32)
    scores[:, :: 1 if kind.sampling else kind.width] = 0.0
    state: Arrays = {
        "scores": scores,
        "finished_scores": np.full(shape, EMPTY, np.float32),
        "finished_logprobs": np.zeros(shape, np.float32),
        "finished": np.zeros((batch, 3 * kind.beams), np.int32),
        "done": np.zeros((batch, 1), np.int32),
        "step": np.zeros(1, np.int32),
    }
    if kind.groups > 1:
        state["group_done"] = np.zeros((batch, kind.groups), np.int32)
    if kind.history:
        state["history"] = np.full((*shape, steps), -1, np.int32)
        state["history"][:, :, 0] = np.asarray(starts, np.int32)[:, None]
    constants = _numbers(options, batch, special)
    if kind.suppress or kind.ctc:
        constants["suppressed"] = np.zeros(vocabulary, np.float32)
        constants["suppressed"][list({*options.suppress_tokens, *special.silent})] = DEAD
    if kind.ctc:
        state |= _prefixes(shape, steps)
        state = {tensor.name: state[tensor.name] for tensor in state_specs(kind) if tensor.name != "nodes"}
        constants["blank"] = np.asarray([special.blank], np.int32)
        constants["places"] = np.arange(steps, dtype=np.int32)
    if kind.bans:
        constants |= _bans(options, special, steps)
    if kind.prefix:
        constants["prefix"] = np.full((batch, steps), -1, np.int32)
        for row, prefix in zip(constants["prefix"], options.prefixes(batch), strict=True):
            row[: len(prefix)] = prefix
    if kind.trie:
        bans = {first: Bans.of(options, first, special.end) for first in set(starts)}
        pairs = zip(starts, options.phrases_of(batch), strict=True)
        left = [phrases.allowed_by(bans[first]) or phrases for first, phrases in pairs]
        tries = Phrases.joined(left, vocabulary, special.end)
        constants["trie_base"], constants["trie_check"] = tries.base, tries.check
        constants["token_ids"] = np.arange(vocabulary, dtype=np.int32)
        state["nodes"] = np.repeat(tries.roots[:, None], kind.beams, axis=1)
    if kind.sampling:
        constants["uniforms"] = np.repeat(uniforms(options.seed or 0, kind.beams, steps)[None], batch, axis=0)
    known = {tensor.name for tensor in constant_specs(kind)}
    return state, {name: array for name, array in constants.items() if name in known}


def first_tokens(options: SearchOptions, special: SpecialTokens, batch: int) -> NDArray[np.int32]:
    """What the first step is fed, (B, K)."""
    starts = np.asarray(options.starts(batch, special.start), np.int32)
    return np.repeat(starts[:, None], options.beams, axis=1)


def _prefixes(shape: tuple[int, int], steps: int) -> Arrays:
    """Before the first column there is one prefix, the empty one."""
    blank_scores = np.full(shape, DEAD, np.float32)
    blank_scores[:, 0] = 0.0
    return {
        "last": np.full(shape, -1, np.int32),
        "blank_scores": blank_scores,
        "char_scores": np.full(shape, DEAD, np.float32),
        "prefixes": np.full((*shape, steps), -1, np.int32),
        "lengths": np.zeros(shape, np.int32),
    }


def uniforms(seed: int, beams: int, steps: int) -> NDArray[np.float32]:
    """The numbers that samples are drawn with, (K, T) in [0, 1), multiples of 2**-23.

    Each beam has a stream of its own (Philox, Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3",
    SC 2011; the seed is the key, the beam the highest word of the counter), so that a sample is the same
    whatever the number of beams, steps and images.
    """
    rows = [
        np.random.Philox(key=seed, counter=[0, 0, 0, beam]).random_raw(steps) >> np.uint64(41)
        for beam in range(beams)
    ]
    return (np.stack(rows).astype(np.float64) / 2**23).astype(np.float32)


def _numbers(options: SearchOptions, batch: int, special: SpecialTokens) -> Arrays:
    """The options that are numbers, whether or not the graph has them."""
    # Greedy search ends with its first end token, as Transformers' does, whatever early_stopping says.
    stops = options.beams == 1 or options.early_stopping is True
    # A longer answer can have a better score only where length is rewarded.
    patient = options.early_stopping == "never" and options.length_penalty > 0
    longest = np.asarray(options.max_lengths(batch), np.int32)[:, None]
    return {
        "max_length": longest,
        "min_length": np.full(1, options.min_length, np.int32),
        "divisors": divisors(options),
        "reach": longest * patient,
        "ceiling": _number(STOPS if stops else float(np.finfo(np.float32).max)),
        "end_tokens": np.asarray(special.end, np.int32),
        "diversity_penalty": _number(options.diversity_penalty),
        "repetition_penalty": _number(options.repetition_penalty),
        "coverage_penalty": _number(options.coverage_penalty),
        "temperature": _number(options.temperature),
        "top_p": _number(options.top_p),
        "min_p": _number(options.min_p),
    }


def divisors(options: SearchOptions) -> NDArray[np.float32]:
    """What the log-probability of an answer of each length is divided by; of length 0 there is none."""
    lengths = np.arange(1, MAX_LENGTH + 1, dtype=np.float64)
    return np.append(1.0, options.divisor(lengths)).astype(np.float32)


def _number(value: float) -> NDArray[np.float32]:
    return np.full(1, value, np.float32)


def _bans(options: SearchOptions, special: SpecialTokens, steps: int) -> Arrays:
    """The forbidden sequences that can come, the last token apart and those before it last one first."""
    bans = [
        words
        for words in options.bad_words_ids
        if len(words) <= steps and not (len(words) == 1 and words[0] in special.end)
    ]
    contexts = np.full((max(len(bans), 1), steps), -1, np.int32)
    contexts[len(bans) :] = _NO_TOKEN  # where none can come, the one row fits nothing
    for row, words in zip(contexts, bans, strict=False):
        row[: len(words) - 1] = words[-2::-1]
    tokens = [words[-1] for words in bans] or [0]
    return {"ban_contexts": contexts, "ban_tokens": np.asarray(tokens, np.int32)}


def padded(constants: Arrays) -> Arrays:
    """The same inputs with the tables of bans and of phrases filled up to powers of two, so that engines of
    fixed shapes serve more than one list: with bans that fit nothing, and places that no phrase goes to."""
    fills = {"ban_contexts": _NO_TOKEN, "ban_tokens": 0, "trie_base": 0, "trie_check": -1}
    filled = dict(constants)
    for name in fills.keys() & constants.keys():
        table = constants[name]
        more = (1 << (len(table) - 1).bit_length()) - len(table)
        widths = [(0, more)] + [(0, 0)] * (table.ndim - 1)
        filled[name] = np.pad(table, widths, constant_values=fills[name])
    return filled
