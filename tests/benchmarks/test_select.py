"""The benchmark of the search runs, its sides take the same number of steps, and its fit is one."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("transformers")

import torch

from benchmarks import searching
from benchmarks.searching import Contestants, Times, give_peer_its_best_threads
from benchmarks.select import JUDGED, LARGE, Row, growth, judged, main


def row(beams: int, vocabulary: int, variant: str, search_ms: float) -> Row:
    return Row(beams, vocabulary, variant, search_ms, 1.0, 1.0, 1, 1.0, 1.0, 0.3, 2.0, 0.15)


@pytest.fixture
def threads_kept() -> Iterator[None]:
    """torch has as many afterwards as before."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("torchlib_read_once", "threads_kept")
def test_prints_a_row_for_each_variant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "table.json"
    command = ["benchmarks.select", "--beams", "2", "--vocabulary", "1000"]
    command += ["--variants", "plain", "1,000 phrases", "--repetitions", "1", "--json", str(table)]
    monkeypatch.setattr("sys.argv", command)
    with torch.random.fork_rng():
        main()
    found = json.loads(table.read_text())
    assert set(found) == {"setting", "rows", "growth", "judged"}
    assert [entry["variant"] for entry in found["rows"]] == ["plain", "1,000 phrases"]
    for entry in found["rows"]:
        assert 0 < entry["search_ms"] <= entry["answer_ms"]
        assert 0 < entry["peer_search_ms"] <= entry["peer_answer_ms"]
        assert entry["peer_threads"] in found["setting"]["threads"]["torch"]
        assert entry["select_in_use_ms"] > 0
        assert 0 < entry["share"] < 1
    assert found["growth"] == [], "two settings of one small size tell nothing"
    assert found["judged"] is None
    assert len(capsys.readouterr().out.splitlines()) == 5


@pytest.mark.usefixtures("threads_kept")
@pytest.mark.parametrize("best", [1, 2])
def test_the_peer_has_the_threads_that_suit_it(best: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "ALL_THREADS", 2)

    def answer() -> Times:
        return Times(1.0, 1.0 if torch.get_num_threads() == best else 2.0)

    rivals = Contestants(answer, answer, lambda: (1.0, 1.0))
    assert give_peer_its_best_threads(rivals) == torch.get_num_threads() == best


@pytest.mark.parametrize("exponent", [0.4, 1.0, 1.3])
def test_the_growth_is_fitted_to_the_large_settings_of_each_variant(exponent: float) -> None:
    sizes = [(1, 50_000), (5, 10_000), (5, 50_000), (16, 10_000), (16, 50_000)]
    rows = [row(*size, "plain", (size[0] * size[1]) ** exponent) for size in sizes]
    small = [row(1, 1000, "plain", 1e9), row(5, 1000, "plain", 1e9)]
    few = [row(5, 10_000, "other", 1.0), row(5, 50_000, "other", 9.0)]
    (fit,) = growth([*small, *rows, *few])
    assert (fit.variant, fit.settings, fit.at_least) == ("plain", len(sizes), LARGE)
    assert fit.exponent == pytest.approx(exponent, abs=1e-3)


def test_what_is_judged_is_the_one_setting() -> None:
    beams, vocabulary, variant = JUDGED
    others = [row(1, vocabulary, variant, 1.0), row(beams, vocabulary, "other", 1.0)]
    assert judged(others) is None
    found = judged([*others, row(beams, vocabulary, variant, 1.0)])
    assert found is not None
    assert (found["share"], found["decoder_ms"], found["most_share"], found["goal_ms"]) == (
        0.15,
        2.0,
        0.15,
        0.35,
    )
