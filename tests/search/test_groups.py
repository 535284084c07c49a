"""Diverse beam search in groups, against what Transformers 4.56.2 answered; see make_group_goldens.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cnnrnn.core.search import SearchOptions
from tests.search.hashed_model import END, hashed_model
from tests.search.searching import search, tokens_of

GOLDENS = json.loads(Path(__file__).with_name("group_goldens.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("golden", GOLDENS["cases"], ids=lambda golden: f"{golden['seeds'][0]}")
def test_tokens_and_scores_are_the_goldens(golden):
    vocabulary, spread, bonus = golden["model"]
    models = [hashed_model(seed, vocabulary, spread, bonus) for seed in golden["seeds"]]
    options = SearchOptions(**golden["options"], n_best=golden["options"]["beams"])
    for answers, paths in zip(golden["answers"], search(models, vocabulary, (END,), options), strict=True):
        if answers is None:
            continue
        # Two groups may well find the same answer, and then which is which does not matter.
        found = sorted(((path.score, list(tokens_of(path))) for path in paths), reverse=True)
        wanted = [answer["tokens"] for answer in answers]
        assert [tokens for _, tokens in found] == wanted, options
        assert [score for score, _ in found] == pytest.approx([a["score"] for a in answers], abs=1e-4)


def test_the_goldens_meet_every_option():
    options = [golden["options"] for golden in GOLDENS["cases"]]
    assert len(options) >= 40
    assert {entry["num_beam_groups"] for entry in options} == {2, 3, 4}
    assert {entry["early_stopping"] for entry in options} == {True, False, "never"}
    assert {entry["diversity_penalty"] for entry in options} == {0.2, 0.5, 1.0, 2.0}
    assert {entry["length_penalty"] for entry in options} == {-1.0, 0.0, 0.6, 1.0, 2.0}
    assert {entry["max_length"] for entry in options} == {1, 4, 5, 6, 8}
    pictures = [answers for golden in GOLDENS["cases"] for answers in golden["answers"]]
    assert sum(answers is None for answers in pictures) <= len(pictures) // 10, "left out: another rule"


def test_the_penalty_keeps_the_groups_apart():
    model = hashed_model(5, 24)
    options = SearchOptions(4, 6, num_beam_groups=4, diversity_penalty=20.0, n_best=4)
    (paths,) = search([model], 24, (END,), options)
    firsts = [tokens_of(path)[0] for path in paths]
    assert len(set(firsts)) == 4
