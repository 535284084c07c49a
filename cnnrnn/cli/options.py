"""The arguments that several commands share, and how they become the keywords of a call."""

from __future__ import annotations

import argparse
from typing import Any

SEARCH_KEYS = ("beams", "max_length", "min_length", "length_penalty", "early_stopping", "n_best")


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
    """The search's options; what is not given is the bundle's default."""
    group = parser.add_argument_group("search (what is not given is the bundle's default)")
    group.add_argument("--beams", type=int, metavar="K", help="beam width; 1 is greedy")
    group.add_argument("--max-length", type=int, metavar="T", help="most tokens in an answer")
    group.add_argument("--min-length", type=int, metavar="T", help="least tokens in an answer")
    group.add_argument(
        "--length-penalty",
        type=float,
        metavar="P",
        help="score = log-probability / length**P; above 0 likes long",
    )
    group.add_argument(
        "--early-stopping",
        type=_early_stopping,
        metavar="{true,false,never}",
        help="when to stop once K answers are finished: at once, when no better one is likely, or possible",
    )
    group.add_argument("--n-best", type=int, metavar="N", help="hypotheses to list (default: the beam width)")


def search_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The search options that were given, as the keywords of a model's call."""
    given = {key: getattr(arguments, key) for key in SEARCH_KEYS}
    return {key: value for key, value in given.items() if value is not None}


def _early_stopping(text: str) -> bool | str:
    values: dict[str, bool | str] = {"true": True, "false": False, "never": "never"}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"{text!r} is none of true, false and never")
    return values[text.lower()]
