"""What may not come, told from tokens alone."""

from __future__ import annotations

from typing import Any

import pytest

from cnnrnn.core.search import SearchOptions
from cnnrnn.core.search_bans import Bans
from cnnrnn.core.search_reasons import reason

START, ENDS = 0, (2, 3)


def bans(**options: Any) -> Bans:
    return Bans.of(SearchOptions(**{"beams": 1, "max_length": 9, "min_length": 0, **options}), START, ENDS)


@pytest.mark.parametrize(
    ("options", "allowed", "refused"),
    [
        ({}, [(), (4,), (4, 4, 4)], []),
        ({"min_length": 2}, [(4, 5)], [(), (4,)]),
        ({"suppress_tokens": (4, 2)}, [(5,)], [(4,), (5, 4)]),
        ({"suppress_tokens": ENDS}, [], [(), (5,)]),
        ({"bad_words_ids": ((4,), (5, 6))}, [(6, 5), (5, 7, 6)], [(4,), (7, 4), (5, 6)]),
        ({"bad_words_ids": ((START, 4),)}, [(5, 4)], [(4, 5)]),
        ({"bad_words_ids": ((4, 2),)}, [(4,)], []),  # the other end token may come
        ({"bad_words_ids": ((4, 2), (4, 3))}, [(4, 5)], [(4,), (5, 4)]),
        ({"bad_words_ids": ((2,), (3,), (2, 3))}, [(), (4,)], []),  # of end tokens alone: ignored
        ({"no_repeat_ngram_size": 1}, [(4, 5)], [(4, 4), (START,)]),
        ({"no_repeat_ngram_size": 2}, [(4, 5, 4)], [(4, 5, 4, 5), (4, 4, 4), (START, START)]),
    ],
    ids=str,
)
def test_what_may_come(
    options: dict[str, Any], allowed: list[tuple[int, ...]], refused: list[tuple[int, ...]]
) -> None:
    rules = bans(**options)
    assert [rules.allow(answer) for answer in allowed] == [True] * len(allowed)
    assert [rules.allow(answer) for answer in refused] == [False] * len(refused)


def test_the_option_is_named_with_its_tokens() -> None:
    rules = bans(suppress_tokens=(9,), bad_words_ids=((4, 5), (7,)), no_repeat_ngram_size=2)
    assert rules.tokens == {9, 7}
    assert rules.after((START, 9)) == ("suppress_tokens", (9,))
    assert rules.after((START, 4, 5)) == ("bad_words_ids", (4, 5))
    assert rules.after((START, 6, 6, 6)) == ("no_repeat_ngram_size", (6, 6))
    assert rules.after((START, 5, 4)) is None


def test_equal_options_forbid_alike() -> None:
    assert bans(min_length=1, max_length=3) == bans(min_length=1, length_penalty=0.0)
    assert bans(suppress_tokens=(4,)) != bans(suppress_tokens=(5,))


def test_where_phrases_have_no_token_left_it_is_the_models_doing() -> None:
    """Phrases that may not come are left out beforehand, so bans are not to blame."""
    options = SearchOptions(1, 9, suppress_tokens=(4,), phrases=object())  # type: ignore[arg-type]
    assert reason("no_token", options, 1) == (
        "no token may follow these 1: the model gives -inf to all that phrases allows"
    )
