"""The arguments that several commands share, and how they become the keywords of a call."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnrnn.core.errors import OptionsError
from cnnrnn.core.search import SearchSettings

if TYPE_CHECKING:
    from cnnrnn.runtime.model import Model

# Of the search's options, those that are given as they are; a prefix and phrases need the tokenizer.
_SEARCH_KEYS = tuple(name for name in SearchSettings.__annotations__ if name not in ("prefix", "phrases"))


def add_bundle(parser: argparse.ArgumentParser) -> None:
    """The positional BUNDLE."""
    parser.add_argument(
        "bundle", metavar="BUNDLE", help="a bundle's folder, or the name of a shipped one (emoji)"
    )


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Which engine runs the graphs, and how."""
    group = parser.add_argument_group("engine")
    group.add_argument("--backend", default="ort-cpu", help="what runs the graphs (default: %(default)s)")
    group.add_argument("--precision", help="fp32, fp16 or int8, where the bundle has it (default: its first)")
    group.add_argument(
        "--threads", type=int, help="threads of the engine (default: the physical cores)", metavar="N"
    )


def add_search(parser: argparse.ArgumentParser) -> None:
    """The search's options, named as in Transformers where that has them."""
    _add_length(parser.add_argument_group("search (what is not given is the bundle's default)"))
    _add_constraints(parser.add_argument_group("what an answer may be"))
    _add_sampling(parser.add_argument_group("groups and sampling"))


def search_options(arguments: argparse.Namespace, model: Model) -> dict[str, Any]:
    """The search options that were given, as the keywords of a model's call.

    Raises:
        OptionsError: the file of phrases cannot be read, or the model cannot spell one, or the prefix.
    """
    given = {key: getattr(arguments, key) for key in _SEARCH_KEYS}
    given["prefix"] = None if arguments.prefix is None else _prefix(arguments.prefix, model)
    given["phrases"] = None if arguments.phrases is None else model.phrases(_lines(arguments.phrases))
    return {key: value for key, value in given.items() if value is not None}


def _prefix(text: str, model: Model) -> tuple[int, ...]:
    tokenizer = model.tokenizer
    tokens = tuple(tokenizer.encode(text))
    if tokenizer.unknown is not None and tokenizer.unknown in tokens:
        raise OptionsError(
            f"--prefix {text!r} has a word that the vocabulary of {tokenizer.size} lacks (its tokens are "
            f"{' '.join(tokenizer.tokens(tokens))}); say it otherwise"
        )
    return tokens


def _add_length(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--beams", "--num-beams", type=int, metavar="K", help="beam width; 1 is greedy")
    group.add_argument(
        "--max-length", "--max-new-tokens", type=int, metavar="T", help="most tokens in an answer"
    )
    group.add_argument(
        "--min-length", "--min-new-tokens", type=int, metavar="T", help="least tokens in an answer"
    )
    group.add_argument(
        "--length-penalty",
        type=float,
        metavar="P",
        help="score = log-probability / length**P; above 0 likes long",
    )
    group.add_argument(
        "--length-penalty-type",
        choices=("length", "gnmt"),
        help="divide by length**P, or by GNMT's ((5 + length) / 6)**P",
    )
    group.add_argument(
        "--coverage-penalty",
        type=float,
        metavar="B",
        help="GNMT's beta: every part of the picture wants a look",
    )
    group.add_argument(
        "--early-stopping",
        type=_early_stopping,
        metavar="{true,false,never}",
        help="when to stop once K answers are finished: at once, when no better one is likely, or possible",
    )
    group.add_argument(
        "--n-best",
        "--num-return-sequences",
        type=int,
        metavar="N",
        help="hypotheses to list (default: the beam width)",
    )
    group.add_argument(
        "--deadline-ms", type=float, metavar="MS", help="give the best found so far after this time"
    )


def _add_constraints(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--prefix", metavar="TEXT", help="what every answer starts with")
    group.add_argument(
        "--phrases", type=Path, metavar="FILE", help="the only answers there may be, one a line"
    )
    group.add_argument(
        "--repetition-penalty",
        type=float,
        metavar="P",
        help="above 1, tokens that came before are less likely",
    )
    group.add_argument(
        "--no-repeat-ngram-size", type=int, metavar="N", help="no N tokens in a row come twice, N from 1 to 4"
    )
    group.add_argument("--suppress-tokens", type=_tokens, metavar="ID,...", help="token ids that never come")
    group.add_argument(
        "--bad-words-ids",
        type=_sequences,
        metavar="ID,...;...",
        help="sequences of token ids that never come, with ; between sequences",
    )


def _add_sampling(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--num-beam-groups",
        type=int,
        metavar="G",
        help="groups of beams that are kept different from one another",
    )
    group.add_argument(
        "--diversity-penalty",
        type=float,
        metavar="P",
        help="what a token loses that a group before has chosen",
    )
    group.add_argument(
        "--do-sample",
        action="store_true",
        default=None,
        help="draw as many answers as there are beams, and list them by score",
    )
    group.add_argument(
        "--temperature", type=float, metavar="T", help="above 1 draws more freely, below 1 less"
    )
    group.add_argument("--top-k", type=int, metavar="K", help="draw from the K likeliest tokens")
    group.add_argument(
        "--top-p", type=float, metavar="P", help="draw from the likeliest that make up P together"
    )
    group.add_argument(
        "--min-p",
        type=float,
        metavar="P",
        help="draw from those with P times the likeliest one's probability",
    )
    group.add_argument("--seed", type=int, metavar="N", help="of the draws (default: 0)")


def _lines(path: Path) -> list[str]:
    """The lines of a text file that are not blank."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OptionsError(f"--phrases {path} cannot be read: {error}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


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
