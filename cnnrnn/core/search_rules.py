"""The one place where the options of the search are checked: each value, and every combination.

An error names the option, or both that contradict, the value, the limit and the fix, and comes before any
work.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnnrnn.core.errors import OptionsError
from cnnrnn.core.manifest import Manifest

if TYPE_CHECKING:
    from cnnrnn.core.search import SearchOptions

MAX_BEAMS = 32
MAX_LENGTH = 1024
MAX_PENALTY = 4.0
MAX_NGRAM = 4
# TensorRT's TopK gives no more.
MAX_TOP_K = 3840

_SAMPLING = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}


def check(options: SearchOptions, manifest: Manifest) -> None:
    """Refuse options that this bundle cannot search with.

    Raises:
        OptionsError: naming the option, its value, the limit and the fix.
    """
    _check_width_and_length(options, manifest)
    _check_penalties(options, manifest)
    _check_groups(options)
    _check_sampling(options)
    _check_tokens(options, manifest)
    if options.deadline_ms is not None:
        _check_number("deadline_ms", options.deadline_ms, 0, math.inf, "give milliseconds from the call")
    if options.phrases == ():
        raise OptionsError("phrases is empty; give model.phrases(texts), or one for each image")
    counts = _counts(options)
    if len(set(counts.values())) > 1:
        text = ", ".join(f"{name} for {count}" for name, count in counts.items())
        raise OptionsError(f"options are given for different numbers of images: {text}")
    for image in range(max([1, *counts.values()])):
        _check_prefix(options, manifest, image)
        _check_phrases(options, manifest, image)


def check_batch(options: SearchOptions, images: int) -> None:
    """Refuse options given for each image when they are not as many as the images.

    Raises:
        OptionsError: naming the option, how many values it has and how many images there are.
    """
    for name, count in _counts(options).items():
        if count != images:
            raise OptionsError(f"{name} has {count} values, one for each image, for {images} images")


def _counts(options: SearchOptions) -> dict[str, int]:
    """How many images an option was given for, of the options that are given by image."""
    given = {
        "max_length": options.max_length,
        "prefix": options.prefix if options.prefix and isinstance(options.prefix[0], tuple) else None,
        "phrases": options.phrases,
    }
    return {name: len(value) for name, value in given.items() if isinstance(value, tuple)}


def _check_width_and_length(options: SearchOptions, manifest: Manifest) -> None:
    most = manifest.search.max_beams
    _check_integer("beams", options.beams, 1, most, f"bundle {manifest.name!r} was exported for up to {most}")
    lengths = options.max_length if isinstance(options.max_length, tuple) else (options.max_length,)
    if not lengths:
        raise OptionsError("max_length is empty; give an integer, or one for each image")
    for length in lengths:
        _check_integer("max_length", length, 1, MAX_LENGTH, "a caption is shorter than that")
    least = min(lengths)
    _check_integer("min_length", options.min_length, 0, least, f"it cannot be above max_length={least}")
    _check_integer(
        "n_best",
        options.n_best,
        1,
        options.beams,
        f"a search of {options.beams} beams keeps no more; raise beams",
    )
    stopping = options.early_stopping
    if not isinstance(stopping, bool) and stopping != "never":
        raise OptionsError(f"early_stopping={stopping!r} is none of True, False and 'never'")


def _check_penalties(options: SearchOptions, manifest: Manifest) -> None:
    penalty = options.length_penalty
    if isinstance(penalty, bool) or not isinstance(penalty, (int, float)) or not math.isfinite(penalty):
        raise OptionsError(f"length_penalty={penalty!r} is not a finite number; 1.0 divides by the length")
    if abs(penalty) > MAX_PENALTY:
        raise OptionsError(
            f"length_penalty={penalty!r} is outside -{MAX_PENALTY:g} to {MAX_PENALTY:g}; usual are 0 to 2"
        )
    if options.length_penalty_type not in ("length", "gnmt"):
        raise OptionsError(
            f"length_penalty_type={options.length_penalty_type!r} is neither 'length' nor 'gnmt'"
        )
    _check_number("coverage_penalty", options.coverage_penalty, 0, 10, "0 is none, usual are 0.1 to 0.4")
    if options.coverage_penalty and not _has_alignment(manifest):
        raise OptionsError(
            f"coverage_penalty={options.coverage_penalty} needs a model with an alignment, and the step "
            f"graph of bundle {manifest.name!r} has none; leave it 0"
        )
    _check_number("repetition_penalty", options.repetition_penalty, 0.01, 100, "1 is none, usual are 1 to 2")
    _check_integer(
        "no_repeat_ngram_size", options.no_repeat_ngram_size, 0, MAX_NGRAM, "0 allows every repetition"
    )


def _check_groups(options: SearchOptions) -> None:
    groups, penalty = options.num_beam_groups, options.diversity_penalty
    _check_integer("num_beam_groups", groups, 1, options.beams, "a group has one beam at least; raise beams")
    _check_number("diversity_penalty", penalty, 0, 100, "0 is none, usual are 0.2 to 1")
    if options.beams % groups:
        raise OptionsError(
            f"num_beam_groups={groups} does not divide beams={options.beams}; all are of one size"
        )
    if groups > 1 and not penalty:
        raise OptionsError(
            f"num_beam_groups={groups} with diversity_penalty=0 gives the same answers {groups} times; "
            "give a penalty above 0"
        )
    if groups == 1 and penalty:
        raise OptionsError(
            f"diversity_penalty={penalty} needs groups, and num_beam_groups=1; give 2 or more of them"
        )


def _check_sampling(options: SearchOptions) -> None:
    if not isinstance(options.do_sample, bool):
        raise OptionsError(f"do_sample={options.do_sample!r} is neither True nor False")
    _check_number(
        "temperature", options.temperature, 0.001, 100, "1 leaves the model as it is; do_sample=False is 0"
    )
    _check_integer("top_k", options.top_k, 0, MAX_TOP_K, "0 draws from the whole vocabulary")
    _check_number("top_p", options.top_p, 1e-6, 1, "1 draws from the whole vocabulary")
    _check_number("min_p", options.min_p, 0, 1, "0 draws from the whole vocabulary")
    _check_integer("seed", options.seed, 0, 2**64 - 1, "it is an unsigned 64-bit number")
    if not options.do_sample:
        for name, default in _SAMPLING.items():
            if getattr(options, name) != default:
                raise OptionsError(
                    f"{name}={getattr(options, name)} has no effect with do_sample=False; set do_sample=True"
                )
        return
    if options.num_beam_groups > 1:
        raise OptionsError(
            f"num_beam_groups={options.num_beam_groups} contradicts do_sample=True: samples are independent; "
            "leave one of them out"
        )
    if options.early_stopping is not False:
        raise OptionsError(
            f"early_stopping={options.early_stopping!r} contradicts do_sample=True: each sample runs to its "
            "own end; leave one of them out"
        )


def _check_tokens(options: SearchOptions, manifest: Manifest) -> None:
    size, ends = manifest.vocabulary.size, set(manifest.vocabulary.end)
    _check_ids("suppress_tokens", options.suppress_tokens, size)
    if not isinstance(options.bad_words_ids, tuple):
        raise OptionsError(
            f"bad_words_ids={options.bad_words_ids!r} is no sequence of sequences of token ids"
        )
    for number, words in enumerate(options.bad_words_ids):
        _check_ids(f"bad_words_ids[{number}]", words, size)
        if not words:
            raise OptionsError(f"bad_words_ids[{number}] is empty; give one token id at least")
    banned = banned_tokens(options, ends)
    others = size - len(ends) - len(banned - ends)
    if not others and (options.min_length > 0 or ends <= banned) and not options.prefix:
        raise OptionsError(
            f"suppress_tokens and bad_words_ids leave no token of {size} to begin with, with min_length="
            f"{options.min_length}; allow one at least"
        )


def banned_tokens(options: SearchOptions, ends: set[int]) -> set[int]:
    """The tokens that never come, whatever came before."""
    single = {words[0] for words in options.bad_words_ids if len(words) == 1}
    return set(options.suppress_tokens) | (single - ends)


def _check_prefix(options: SearchOptions, manifest: Manifest, image: int) -> None:
    """The forced tokens of one image can all come, and no other option forbids them."""
    if not isinstance(options.prefix, tuple):
        raise OptionsError(f"prefix={options.prefix!r} is no sequence of token ids; encode a text first")
    prefix = options.prefixes(image + 1)[image]
    if not isinstance(prefix, tuple):
        raise OptionsError("prefix mixes token ids and sequences; give ids, or one sequence for each image")
    _check_ids("prefix", prefix, manifest.vocabulary.size)
    ends = set(manifest.vocabulary.end)
    longest = options.max_lengths(image + 1)[image]
    if len(prefix) > longest:
        raise OptionsError(f"prefix has {len(prefix)} tokens, max_length is {longest}; raise max_length")
    if not ends.isdisjoint(prefix):
        raise OptionsError(
            f"prefix has the end token {next(token for token in prefix if token in ends)}; nothing can "
            "follow it, leave it out"
        )
    fed = (manifest.vocabulary.start, *prefix)
    for place in range(1, len(fed)):
        _refuse_banned(options, fed[:place], fed[place], ends)


def _refuse_banned(options: SearchOptions, before: tuple[int, ...], token: int, ends: set[int]) -> None:
    if token in options.suppress_tokens:
        raise OptionsError(
            f"prefix has token {token}, which suppress_tokens forbids; leave it out of one of them"
        )
    for words in options.bad_words_ids:
        if set(words) - ends and (*before, token)[-len(words) :] == words:
            raise OptionsError(
                f"prefix has {list(words)}, which bad_words_ids forbids; leave it out of one of them"
            )
    n = options.no_repeat_ngram_size
    fed = (*before, token)
    if n and any(fed[start : start + n] == fed[-n:] for start in range(len(fed) - n)):
        raise OptionsError(
            f"prefix repeats {list(fed[-n:])}, which no_repeat_ngram_size={n} forbids; shorten it or set 0"
        )


def _check_phrases(options: SearchOptions, manifest: Manifest, image: int) -> None:
    """Every phrase of one image fits, and the prefix begins one at least."""
    if options.phrases is None:
        return
    phrases = options.phrases_of(image + 1)[image]
    if not hasattr(phrases, "sequences"):
        raise OptionsError(f"phrases={phrases!r} is no Phrases; make one with model.phrases(texts)")
    vocabulary = manifest.vocabulary
    trie = phrases.trie(vocabulary.size, vocabulary.end)
    needed = phrases.longest + 1
    longest = options.max_lengths(image + 1)[image]
    if longest < needed:
        raise OptionsError(
            f"max_length={longest} is too short for phrases, whose longest has {needed} tokens with its end; "
            f"raise it to {needed}"
        )
    if options.min_length >= needed:
        raise OptionsError(
            f"min_length={options.min_length} is above every one of phrases, whose longest has {needed - 1} "
            "tokens; lower it"
        )
    node = trie.root
    for place, token in enumerate(options.prefixes(image + 1)[image]):
        following = trie.follow(node, token)
        if following is None:
            raise OptionsError(
                f"prefix begins none of phrases: no phrase has token {token} at place {place}; shorten it"
            )
        node = following


def _has_alignment(manifest: Manifest) -> bool:
    return any(
        tensor.name == "alignment" for pair in manifest.precisions.values() for tensor in pair["step"].outputs
    )


def _check_ids(name: str, ids: Sequence[int], size: int) -> None:
    if not isinstance(ids, tuple):
        raise OptionsError(f"{name}={ids!r} is no sequence of token ids")
    for token in ids:
        _check_integer(name, token, 0, size - 1, "a token of the vocabulary is needed")


def _check_integer(name: str, value: object, low: int, high: int, why: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise OptionsError(f"{name}={value!r} is not an integer; give one from {low} to {high}")
    if not low <= value <= high:
        raise OptionsError(f"{name}={value} is outside {low} to {high}: {why}")


def _check_number(name: str, value: object, low: float, high: float, why: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise OptionsError(f"{name}={value!r} is not a finite number; {why}")
    if not low <= value <= high:
        raise OptionsError(f"{name}={value!r} is outside {low:g} to {high:g}: {why}")
