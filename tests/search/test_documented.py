"""The page of the search has every option with its range and its default."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from cnnrnn.core.search import SearchOptions
from cnnrnn.core.search_limits import LIMITS
from tests.search.cases import case

PAGE = Path(__file__).resolve().parents[2] / "docs" / "search.md"


def rows() -> dict[str, list[str]]:
    """The cells of each row of the table of options, by the option."""
    found = {}
    section = PAGE.read_text(encoding="utf-8").partition("## Options")[2].partition("\n## ")[0]
    for line in section.splitlines():
        name = re.match(r"\| `(\w+)`[^|]*\| ", line)
        if name:
            found[name[1]] = [cell.strip() for cell in line.strip("|").split("|")]
    return found


# What is asked for by a language, not by its token.
OPTIONS = [entry for entry in dataclasses.fields(SearchOptions) if entry.name != "start"]


def test_every_option_is_there_with_what_proves_it() -> None:
    table = rows()
    assert set(table) == {entry.name for entry in OPTIONS}
    for cells in table.values():
        assert len(cells) == 5
        assert set(cells[4].split(", ")) <= set("TGEPC")


@pytest.mark.parametrize("name", LIMITS)
def test_every_range_is_that_of_the_checks(name: str) -> None:
    values = rows()[name][1]
    assert values.replace("**", "").startswith(str(LIMITS[name]))


@pytest.mark.parametrize("entry", OPTIONS, ids=lambda entry: entry.name)
def test_every_default_is_in_bold(entry: dataclasses.Field) -> None:
    bold = re.findall(r"\*\*`?([^`*]+)`?\*\*", rows()[entry.name][1])
    bundles = {"beams", "max_length", "min_length", "length_penalty"}
    if entry.name in bundles or entry.default in ((), None):
        # A seed that is not given is 0, and n_best is the beam width.
        assert bold == (["0"] if entry.name == "seed" else [])
    elif entry.name == "n_best":
        assert bold == ["K"]
    else:
        (shown,) = bold
        default = entry.default
        assert shown in (f"{default:g}" if type(default) in (int, float) else str(default), f'"{default}"')


def test_the_page_counts_the_cases_as_they_are() -> None:
    pytest.importorskip("transformers")
    from tests.search.test_transformers import CASES, SAMPLE

    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    pictures = sum(len(case(number).models) for number in range(CASES))
    assert f"sample of {len(SAMPLE)} cases, `make test-oracles` all {CASES}, which have {pictures:,}" in page
