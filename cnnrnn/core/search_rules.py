"""The one place where the options of the search are checked: each value, and every combination.

An error names the option, or both that contradict, the value, the limit and the fix, and comes before any
work. The ranges are in `cnnrnn.core.search_limits`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cnnrnn.core.errors import OptionsError
from cnnrnn.core.manifest import Manifest
from cnnrnn.core.search_bans import Bans, Tokens
from cnnrnn.core.search_limits import KEYWORDS, Wording, check_limits, listed

if TYPE_CHECKING:
    from cnnrnn.core.phrases import Phrases
    from cnnrnn.core.search import SearchOptions

# Of a draw; what each is where it changes nothing.
_SAMPLING = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "seed": None}


# What each option is that a search by CTC does not have.
_NOT_ALONG_COLUMNS: dict[str, object] = {
    "length_penalty": 0.0,
    "length_penalty_type": "length",
    "early_stopping": False,
    "coverage_penalty": 0.0,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "bad_words_ids": (),
    "prefix": (),
    "num_beam_groups": 1,
    "diversity_penalty": 0.0,
    "do_sample": False,
}


def check(options: SearchOptions, manifest: Manifest, wording: Wording = KEYWORDS) -> None:
    """Refuse options that this bundle cannot search with.

    Args:
        wording: how a message names an option.

    Raises:
        OptionsError: naming the option, its value, the limit and the fix.
    """
    _Rules(options, manifest, wording).check()


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
    by_image = isinstance(options.prefix, tuple) and options.prefix and isinstance(options.prefix[0], tuple)
    given = {
        "max_length": options.max_length,
        "prefix": options.prefix if by_image else None,
        "phrases": options.phrases,
        "language": options.start,
    }
    return {name: len(value) for name, value in given.items() if isinstance(value, tuple)}


@dataclass(frozen=True)
class _Rules:
    """The options of one search, and what they are checked against."""

    options: SearchOptions
    manifest: Manifest
    wording: Wording

    def check(self) -> None:
        if self.manifest.ctc is not None:
            self._along_columns()
        self._width_and_length()
        self._penalties()
        self._groups()
        self._sampling()
        self._ids()
        if self.options.deadline_ms is not None:
            self._within("deadline_ms")
        if self.options.phrases == ():
            raise OptionsError(
                f"{self._name('phrases')} is empty; give model.phrases(texts), or one for each image"
            )
        counts = _counts(self.options)
        if len(set(counts.values())) > 1:
            text = ", ".join(f"{self._name(name)} for {count}" for name, count in counts.items())
            raise OptionsError(f"options are given for different numbers of images: {text}")
        for image in range(max([1, *counts.values()])):
            self._prefix(image)
            self._anything_left(image)
            self._phrases(image)

    def _start(self, image: int) -> int:
        return self.options.starts(image + 1, self.manifest.start)[image]

    def _bans(self, image: int) -> Bans:
        start = self._start(image)
        if start not in self._known_bans:
            self._known_bans[start] = Bans.of(self.options, start, self.manifest.vocabulary.end)
        return self._known_bans[start]

    @cached_property
    def _known_bans(self) -> dict[int, Bans]:
        return {}

    # How messages say things.

    def _name(self, option: str) -> str:
        return self.wording.name(option)

    def _given(self, option: str, value: object = None) -> str:
        """The option with the value that it has, or with another."""
        return self.wording.given(option, getattr(self.options, option) if value is None else value)

    def _within(self, option: str, high: float | None = None, above: str = "") -> None:
        check_limits(self.wording, option, getattr(self.options, option), high, above)

    # The rules.

    def _along_columns(self) -> None:
        """What a search by CTC has no use for is as it is: no token is fed back, and each column is read."""
        fixed = {"max_length": self.manifest.search.max_length, "min_length": 0, **_NOT_ALONG_COLUMNS}
        for name, value in fixed.items():
            if getattr(self.options, name) != value:
                raise OptionsError(
                    f"{self._given(name)} is not for bundle {self.manifest.name!r}, which reads a line along "
                    f"its {self.manifest.search.max_length} columns by CTC; leave it out"
                )
        if self.options.phrases is not None and self.options.beams == 1:
            raise OptionsError(
                f"{self._given('beams')} contradicts {self._name('phrases')}: the best path of CTC knows no "
                "phrases; give 2 beams or more"
            )

    def _width_and_length(self) -> None:
        options, most = self.options, self.manifest.search.max_beams
        self._within("beams", most, f"bundle {self.manifest.name!r} was exported for up to {most}")
        lengths = options.max_length if isinstance(options.max_length, tuple) else (options.max_length,)
        if not lengths:
            raise OptionsError(f"{self._name('max_length')} is empty; give an integer, or one for each image")
        for length in lengths:
            check_limits(self.wording, "max_length", length)
        least = min(lengths)
        self._within("min_length", least, f"it cannot be above {self._given('max_length', least)}")
        self._within(
            "n_best",
            options.beams,
            f"a search of {options.beams} beams keeps no more; raise {self._name('beams')}",
        )
        stopping = options.early_stopping
        if not isinstance(stopping, bool) and stopping != "never":
            raise OptionsError(f"{self._given('early_stopping')} is none of True, False and 'never'")
        if stopping == "never" and options.beams == 1:
            raise OptionsError(
                f"{self._given('early_stopping')} contradicts {self._given('beams')}: greedy search stops at "
                "its first end token; leave one of them out"
            )

    def _penalties(self) -> None:
        options = self.options
        self._within("length_penalty")
        if options.length_penalty_type not in ("length", "gnmt"):
            raise OptionsError(f"{self._given('length_penalty_type')} is neither 'length' nor 'gnmt'")
        self._within("coverage_penalty")
        if options.coverage_penalty and not _has_alignment(self.manifest):
            raise OptionsError(
                f"{self._given('coverage_penalty')} needs a model with an alignment, and the step graph of "
                f"bundle {self.manifest.name!r} has none; leave it out"
            )
        self._within("repetition_penalty")
        self._within("no_repeat_ngram_size")

    def _groups(self) -> None:
        options = self.options
        groups, penalty = options.num_beam_groups, options.diversity_penalty
        self._within(
            "num_beam_groups", options.beams, f"a group has one beam at least; raise {self._name('beams')}"
        )
        self._within("diversity_penalty")
        if options.beams % groups:
            raise OptionsError(
                f"{self._given('num_beam_groups')} does not divide {self._given('beams')}; groups are of one "
                "size"
            )
        if groups > 1 and not penalty:
            raise OptionsError(
                f"{self._given('num_beam_groups')} with {self._given('diversity_penalty')} gives the same "
                f"answers {groups} times; give a penalty above 0"
            )
        if groups == 1 and penalty:
            raise OptionsError(
                f"{self._given('diversity_penalty')} needs groups, and there is "
                f"{self._given('num_beam_groups')}; give 2 or more of them"
            )

    def _sampling(self) -> None:
        options = self.options
        if not isinstance(options.do_sample, bool):
            raise OptionsError(f"{self._given('do_sample')} is neither True nor False")
        for name in _SAMPLING:
            if getattr(options, name) is not None:
                self._within(name)
        sampling = self._given("do_sample", True)
        if not options.do_sample:
            for name, default in _SAMPLING.items():
                if getattr(options, name) != default:
                    raise OptionsError(
                        f"{self._given(name)} has no effect without {sampling}; add it, or leave "
                        f"{self._name(name)} out"
                    )
            return
        if options.num_beam_groups > 1:
            raise OptionsError(
                f"{self._given('num_beam_groups')} contradicts {sampling}: {options.beams} samples are drawn "
                "independently; leave one of them out"
            )
        if options.early_stopping is not False:
            raise OptionsError(
                f"{self._given('early_stopping')} contradicts {sampling}: each sample runs to its own end; "
                "leave one of them out"
            )

    def _ids(self) -> None:
        self._tokens(self._name("suppress_tokens"), self.options.suppress_tokens)
        name = self._name("bad_words_ids")
        if not isinstance(self.options.bad_words_ids, tuple):
            raise OptionsError(
                f"{self._given('bad_words_ids')} is no sequence of sequences of token ids; give [[5, 6], [7]]"
            )
        for number, words in enumerate(self.options.bad_words_ids):
            self._tokens(f"{name}[{number}]", words)
            if not words:
                raise OptionsError(f"{name}[{number}] is empty; give one token id at least")

    def _tokens(self, name: str, ids: object) -> None:
        size = self.manifest.vocabulary.size
        if not isinstance(ids, tuple):
            raise OptionsError(f"{name} has {ids!r}, which is no sequence of token ids; give a list of them")
        for token in ids:
            if isinstance(token, bool) or not isinstance(token, int):
                raise OptionsError(f"{name} has {token!r}, which is no token id; give 0 to {size - 1}")
            if not 0 <= token < size:
                raise OptionsError(
                    f"{name} has token {token}, outside 0 to {size - 1}, the vocabulary of bundle "
                    f"{self.manifest.name!r}"
                )

    def _prefix(self, image: int) -> None:
        """The forced tokens of one image can all come, and no other option forbids them."""
        name = self._name("prefix")
        if not isinstance(self.options.prefix, tuple):
            raise OptionsError(
                f"{name} has {self.options.prefix!r}, which is no sequence of token ids; give a list of them"
            )
        prefix = self.options.prefixes(image + 1)[image]
        if not isinstance(prefix, tuple):
            raise OptionsError(
                f"{name} mixes token ids and sequences; give ids, or one sequence for each image"
            )
        self._tokens(name, prefix)
        ends = set(self.manifest.vocabulary.end)
        longest = self.options.max_lengths(image + 1)[image]
        if len(prefix) > longest:
            raise OptionsError(
                f"{name} has {len(prefix)} tokens, and there is {self._given('max_length', longest)}; "
                "raise it"
            )
        if not ends.isdisjoint(prefix):
            end = next(token for token in prefix if token in ends)
            raise OptionsError(f"{name} has the end token {end}; nothing can follow it, leave it out")
        fed = (self._start(image), *prefix)
        for length in range(2, len(fed) + 1):
            forbidden = self._bans(image).after(fed[:length])
            if forbidden is not None:
                option, tokens = forbidden
                by = self._given(option) if option == "no_repeat_ngram_size" else self._name(option)
                raise OptionsError(
                    f"{name} has {list(tokens)}, which {by} forbids; leave it out of one of them"
                )

    def _anything_left(self, image: int) -> None:
        """A first token that is not forced can come, and as many as ``min_length`` asks for."""
        options, vocabulary = self.options, self.manifest.vocabulary
        ends, banned = set(vocabulary.end), self._bans(image).tokens
        others = vocabulary.size - len(ends | banned)
        forced = len(options.prefixes(image + 1)[image])
        if forced == options.max_lengths(image + 1)[image]:
            return
        names = f"{self._name('suppress_tokens')} and {self._name('bad_words_ids')}"
        if not others and (forced < options.min_length or ends <= banned):
            where = f"to follow {forced} forced ones" if forced else "to begin with"
            raise OptionsError(
                f"{names} leave no token of {vocabulary.size} {where}, with {self._given('min_length')}; "
                "allow one at least"
            )
        usable = others - (self._start(image) not in ends | banned)
        if options.no_repeat_ngram_size == 1 and usable < options.min_length:
            raise OptionsError(
                f"{self._given('no_repeat_ngram_size')} allows {usable} tokens at most, each once, and there "
                f"is {self._given('min_length')}; lower it or allow more"
            )

    def _phrases(self, image: int) -> None:
        """Every phrase of one image fits, the prefix begins one at least, and one at least may come."""
        if self.options.phrases is None:
            return
        name, vocabulary = self._name("phrases"), self.manifest.vocabulary
        phrases = self.options.phrases_of(image + 1)[image]
        if not hasattr(phrases, "sequences"):
            raise OptionsError(
                f"{name} has {phrases!r}, which is no Phrases; make one with model.phrases(texts)"
            )
        trie = phrases.trie(vocabulary.size, vocabulary.end)
        needed = phrases.longest + (self.manifest.ctc is None)  # a line has no end token
        longest = self.options.max_lengths(image + 1)[image]
        if longest < needed:
            raise OptionsError(
                f"{self._given('max_length', longest)} is too short for {name}, whose longest has {needed} "
                f"tokens with its end; raise it to {needed}"
            )
        if self.options.min_length >= needed:
            raise OptionsError(
                f"{self._given('min_length')} is above every one of {name}, whose longest has {needed - 1} "
                "tokens; lower it"
            )
        node = trie.root
        for place, token in enumerate(self.options.prefixes(image + 1)[image]):
            following = trie.follow(node, token)
            if following is None:
                raise OptionsError(
                    f"{self._name('prefix')} begins none of {name}: no phrase has token {token} at place "
                    f"{place}; shorten it"
                )
            node = following
        self._any_phrase(phrases, self.options.prefixes(image + 1)[image], self._bans(image))

    def _any_phrase(self, phrases: Phrases, prefix: Tokens, bans: Bans) -> None:
        """What else is asked for leaves a phrase at least."""
        left = phrases.allowed_by(bans)
        if left is not None and any(phrase[: len(prefix)] == prefix for phrase in left.sequences):
            return
        others = ("prefix", "suppress_tokens", "bad_words_ids", "no_repeat_ngram_size")
        names = [self._name(name) for name in others if getattr(self.options, name)]
        if self.options.min_length > min(map(len, phrases.sequences)):
            names.append(self._name("min_length"))
        raise OptionsError(
            f"{self._name('phrases')} has {len(phrases)}, and none of them may come with {listed(names)}; "
            "allow one at least"
        )


def _has_alignment(manifest: Manifest) -> bool:
    return any(
        tensor.name == "alignment" for pair in manifest.precisions.values() for tensor in pair["step"].outputs
    )
