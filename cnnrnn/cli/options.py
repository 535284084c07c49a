"""The arguments that several commands share, and how they become the keywords of a call."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnrnn.core.errors import OptionsError
from cnnrnn.core.search import SearchOptions, SearchSettings, options_for
from cnnrnn.core.search_limits import LIMITS, Wording
from cnnrnn.core.search_reasons import reason

if TYPE_CHECKING:
    from cnnrnn.core.phrases import Phrases
    from cnnrnn.runtime.model import Model
    from cnnrnn.runtime.result import Result

# Of the search's options, those that are given as they are; a prefix and phrases need the tokenizer.
_SEARCH_KEYS = tuple(name for name in SearchSettings.__annotations__ if name not in ("prefix", "phrases"))

# Flags that take no value.
_SWITCHES = ("do_sample",)


class Flags(Wording):
    """An option as the command line has it: ``--top-k 5``."""

    def name(self, option: str) -> str:
        return "--" + option.replace("_", "-")

    def given(self, option: str, value: object) -> str:
        return self.name(option) if option in _SWITCHES else f"{self.name(option)} {_written(value)}"


FLAGS = Flags()


@dataclass(frozen=True)
class Chosen:
    """The search options that were given, as the keywords of a model's call, and all of them, checked."""

    keywords: dict[str, Any]
    search: SearchOptions

    def reason(self, answer: Result) -> str:
        """Why the search was over, with the flags that were the cause; empty where the answer ended."""
        return reason(answer.stopped, self.search, len(answer.tokens), wording=FLAGS)


def add_bundle(parser: argparse.ArgumentParser) -> None:
    """The positional BUNDLE."""
    parser.add_argument(
        "bundle", metavar="BUNDLE", help="a bundle's folder, or the name of a shipped one (emoji, vqa)"
    )


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Which engine runs the graphs, and how."""
    group = parser.add_argument_group("engine")
    group.add_argument("--backend", default="ort-cpu", help="what runs the graphs (default: %(default)s)")
    group.add_argument(
        "--precision",
        help="one that the bundle has (default: fp32 on a processor, fp16 on a GPU, where it has that)",
    )
    group.add_argument(
        "--threads", type=integer, help="of ort-cpu (default: the physical cores)", metavar="N"
    )
    group.add_argument("--device", type=integer, help="the GPU's number (default: 0)", metavar="N")
    group.add_argument("--loop", help="how a GPU takes the steps: while, replay, launch (default: the best)")


def load_model(arguments: argparse.Namespace) -> Model:
    """Load BUNDLE on the engine that was chosen.

    Raises:
        OptionsError: naming the flag of the engine that cannot be had.
        CnnrnnError: the bundle or the engine cannot be used.
    """
    from cnnrnn.runtime.device.options import DeviceOptions
    from cnnrnn.runtime.loading import BACKENDS, load

    flags = {"--device": arguments.device, "--loop": arguments.loop}
    given = [f"{flag} {value}" for flag, value in flags.items() if value is not None]
    if arguments.backend == BACKENDS[0] and given:
        raise OptionsError(
            f"{' and '.join(given)}: the backend {BACKENDS[0]} uses no GPU; give --backend "
            f"{', '.join(BACKENDS[1:])}, or leave it out"
        )
    try:
        return load(
            arguments.bundle,
            backend=arguments.backend,
            precision=arguments.precision,
            threads=arguments.threads,
            device=DeviceOptions(arguments.device or 0, loop=arguments.loop or "auto") if given else None,
        )
    except OptionsError as error:
        flag = re.sub(r"^(backend|precision|threads|device|loop)='?(.*?)'?(?=[ ;])", r"--\1 \2", str(error))
        raise OptionsError(flag) from error


def add_search(parser: argparse.ArgumentParser) -> None:
    """The search's options, named as in Transformers where that has them."""
    _add_length(parser.add_argument_group("search (what is not given is the bundle's default)"))
    _add_constraints(parser.add_argument_group("what an answer may be"))
    _add_sampling(parser.add_argument_group("groups and sampling"))


def search_options(arguments: argparse.Namespace, model: Model) -> Chosen:
    """The search options that were given, checked: what is refused is named by its flag.

    Raises:
        OptionsError: an option is refused, the file of phrases cannot be read, or the model cannot spell one,
            or the prefix.
    """
    given = {key: getattr(arguments, key) for key in _SEARCH_KEYS}
    if arguments.prefix is not None:
        given["prefix"] = model.tokenizer.spell(arguments.prefix, FLAGS.name("prefix"))
    if arguments.phrases is not None:
        given["phrases"] = _phrases(arguments.phrases, model)
    keywords: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    return Chosen(keywords, options_for(model.manifest, wording=FLAGS, **keywords))


def integer(text: str) -> int:
    """An integer, for argparse; its limits are checked where it is used."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer; give one without a point") from None


def _add_length(group: argparse._ArgumentGroup) -> None:
    _add_number(group, "beams", "K", "beam width; 1 is greedy", "--num-beams")
    _add_number(group, "max_length", "T", "most tokens in an answer", "--max-new-tokens")
    _add_number(
        group,
        "min_length",
        "T",
        "least tokens in an answer before its end, at most T of --max-length",
        "--min-new-tokens",
    )
    _add_number(group, "length_penalty", "P", "score = log-probability / length**P; above 0 likes long")
    group.add_argument(
        "--length-penalty-type",
        choices=("length", "gnmt"),
        help="divide by length**P, or by GNMT's ((5 + length) / 6)**P",
    )
    _add_number(group, "coverage_penalty", "B", "GNMT's beta: every part of the picture wants a look")
    group.add_argument(
        "--early-stopping",
        type=_early_stopping,
        metavar="{true,false,never}",
        help="when to stop once K answers are finished: at once, when no better one is likely, or possible",
    )
    _add_number(
        group, "n_best", "N", "hypotheses to list, at most the beam width (default)", "--num-return-sequences"
    )
    _add_number(group, "deadline_ms", "MS", "give the best found so far after this time")


def _add_constraints(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--prefix", metavar="TEXT", help="what every answer starts with")
    group.add_argument(
        "--phrases",
        "--lexicon",
        type=Path,
        metavar="FILE",
        help="the only answers there may be, one a line",
    )
    _add_number(group, "repetition_penalty", "P", "above 1, tokens that came before are less likely")
    _add_number(group, "no_repeat_ngram_size", "N", "no N tokens in a row come twice")
    group.add_argument(
        "--suppress-tokens",
        type=_tokens,
        metavar="ID,...",
        help="token ids that never come; 0 to V - 1",
    )
    group.add_argument(
        "--bad-words-ids",
        type=_sequences,
        metavar="ID,...;...",
        help="sequences of token ids that never come, with ; between sequences; 0 to V - 1",
    )


def _add_sampling(group: argparse._ArgumentGroup) -> None:
    _add_number(
        group, "num_beam_groups", "G", "groups of beams that are kept different from one another; divides K"
    )
    _add_number(group, "diversity_penalty", "P", "what a token loses that a group before has chosen")
    group.add_argument(
        "--do-sample",
        action="store_true",
        default=None,
        help="draw as many answers as there are beams, and list them by score",
    )
    _add_number(group, "temperature", "T", "above 1 draws more freely, below 1 less")
    _add_number(group, "top_k", "K", "draw from the K likeliest tokens")
    _add_number(group, "top_p", "P", "draw from the likeliest that make up P together")
    _add_number(group, "min_p", "P", "draw from those with P times the likeliest one's probability")
    _add_number(group, "seed", "N", "of the draws (default: 0)")


def _add_number(group: argparse._ArgumentGroup, option: str, metavar: str, help_: str, *others: str) -> None:
    """An option that is a number, with its range in the help; ``others`` are names beside its own."""
    limits = LIMITS[option]
    group.add_argument(
        FLAGS.name(option), *others, type=_number(option), metavar=metavar, help=f"{help_}; {limits}"
    )


def _number(option: str) -> Callable[[str], float]:
    """Reads a number for argparse; whether it is within the limits is checked with all the others."""
    limits = LIMITS[option]

    def read(text: str) -> float:
        try:
            return int(text) if limits.integer else float(text)
        except ValueError:
            kind = "an integer" if limits.integer else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {kind}; give {limits}") from None

    return read


def _written(value: object) -> str:
    """A value as one writes it on the command line."""
    if isinstance(value, tuple):
        nested = bool(value) and isinstance(value[0], tuple)
        return (";" if nested else ",").join(map(_written, value))
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _phrases(path: Path, model: Model) -> Phrases:
    """The lines of a text file that are not blank.

    Raises:
        OptionsError: naming the file, and the line that the model cannot spell.
    """
    from cnnrnn.core.phrases import Phrases

    flag = FLAGS.given("phrases", path)
    advice = "give a file in UTF-8 with one phrase a line"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise OptionsError(f"{flag} cannot be read: {error.strerror}; {advice}") from error

    def lines() -> Iterator[tuple[str, str]]:
        for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
            try:
                text = line.decode().strip()
            except UnicodeDecodeError:
                raise OptionsError(f"{flag}, line {number}, is not UTF-8; {advice}") from None
            if text:
                yield f"{flag}, line {number},", text

    listed = list(lines())
    if not listed:
        raise OptionsError(f"{flag} has 0 phrases, at least 1; {advice}")
    return Phrases.of_places(listed, model.tokenizer)


def _tokens(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(token) for token in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of token ids with , between them") from None


def _sequences(text: str) -> tuple[tuple[int, ...], ...]:
    return tuple(_tokens(part) for part in text.split(";"))


def _early_stopping(text: str) -> bool | str:
    values: dict[str, bool | str] = {"true": True, "false": False, "never": "never"}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"{text!r} is none of true, false and never")
    return values[text.lower()]
