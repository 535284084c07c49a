"""The kinds of select graph: each option alone for several widths, every two together, and all at once."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from cnnrnn.runtime.select import SelectKind

OPTIONS: dict[str, dict[str, Any]] = {
    "two ends": {"end_count": 2},
    "repetition": {"repetition": True},
    **{f"{n}-gram": {"ngram": n} for n in (1, 2, 3, 4)},
    "suppress": {"suppress": True},
    "bans": {"bans": True},
    "coverage": {"coverage": True},
    "prefix": {"prefix": True},
    "trie": {"trie": True},
    "groups": {"groups": 2},
    "sampling": {"sampling": True},
    "top-k": {"sampling": True, "top_k": 9},
    "top-p": {"sampling": True, "nucleus": True, "vocabulary": 1000},
    "top-k, top-p": {"sampling": True, "nucleus": True, "top_k": 9},
}

_ALL = {"repetition": True, "ngram": 3, "suppress": True, "bans": True, "prefix": True, "trie": True}


def every_kind() -> list[SelectKind]:
    """Without repetition, since the n of an n-gram or of top-k can be only one."""
    plain = [SelectKind(beams) for beams in (1, 2, 5, 32)]
    alone = [
        SelectKind(beams, **values)
        for beams in (1, 4, 32)
        for values in OPTIONS.values()
        if beams > 1 or "groups" not in values
    ]
    pairs = [
        SelectKind(4, **{**one, **other})
        for one, other in combinations(OPTIONS.values(), 2)
        if not ("groups" in {**one, **other} and "sampling" in {**one, **other})
    ]
    whole = [
        SelectKind(6, end_count=3, groups=3, coverage=True, **_ALL),
        SelectKind(4, end_count=3, sampling=True, top_k=9, nucleus=True, coverage=True, **_ALL),
    ]
    columns = [SelectKind(beams, ctc=True) for beams in (1, 2, 5, 32)]
    columns += [SelectKind(beams, ctc=True, trie=True) for beams in (2, 5)]
    return list(dict.fromkeys([*columns, *plain, *alone, *pairs, *whole]))


def named(kind: SelectKind) -> str:
    """For a test's name."""
    return f"{kind.name}-e{kind.end_count}"
