"""The precision gate counts captions as a person would, and its ties are fp32's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnrnn.core.bundle import Bundle
from cnnrnn.core.errors import OptionsError, StorageError
from cnnrnn.core.manifest import ImageSpec
from cnnrnn.core.samples import pictures_in
from cnnrnn.core.search import SearchOptions
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.export.draft import Draft
from cnnrnn.export.parity import Pictures
from cnnrnn.export.pictures import read_pictures
from cnnrnn.export.precision.doctor import keep_of
from cnnrnn.export.precision.gate import caption_score, judge
from cnnrnn.export.precision.graphs import full_graphs, lowered_graphs
from cnnrnn.export.precision.options import LoweringOptions
from cnnrnn.export.precision.prove import kept_from_the_beginning
from cnnrnn.export.precision.report import AS_STORED, Judgement, PrecisionReport, share_of
from cnnrnn.export.report import Departure, SearchParity
from cnnrnn.export.tolerances import PRECISION_TIES
from cnnrnn.runtime.backend import Encoded, Stepped
from cnnrnn.runtime.backtrace import trace_back
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.loop import SpecialTokens, decode
from tests.export.planted import Planted, Searcher

TIE = PRECISION_TIES["fp16"]
SEARCHES = (SearchOptions(beams=1, max_length=6), SearchOptions(beams=3, max_length=6))
SPECIAL = SpecialTokens(1, (2,))
Spoil = Callable[[int, Stepped], Stepped]


@pytest.fixture(scope="module")
def make(make_captioner: Any, image_spec: ImageSpec) -> Callable[..., Planted]:
    searcher: Any = Searcher()

    def make(spoil: Spoil | None = None, encoded: Callable[[Encoded], Encoded] | None = None) -> Planted:
        backend = Planted(make_captioner(), image_spec, searcher)
        if spoil is not None:
            backend.spoil = spoil
        if encoded is not None:
            backend.spoil_encoded = encoded
        return backend

    return make


@pytest.fixture(scope="module")
def batch(pictures: Path, image_spec: ImageSpec) -> Pictures:
    return read_pictures(pictures_in(pictures), image_spec, 12)[0]


def judged(expected: Planted, found: Planted, batch: Pictures, tokenizer: Tokenizer) -> Judgement:
    return judge(expected, {AS_STORED: found}, batch, SEARCHES, tokenizer, TIE)[AS_STORED]


def report_of(judgement: Judgement) -> PrecisionReport:
    return PrecisionReport("fp16", 12, "blocks", (), TIE, {AS_STORED: judgement}, {}, (), {})


def change(step: int, row: int, edit: Callable[[Any], None]) -> Spoil:
    """Edit the logits (K, V) of one picture of the first batch at one step."""

    def spoil(number: int, stepped: Stepped) -> Stepped:
        logits = stepped.logits.clone()
        if number == step and len(logits) == 8:
            edit(logits[row])
        return Stepped(logits, stepped.state, stepped.alignment)

    return spoil


def test_what_says_the_same_passes(make: Any, batch: Any, tokenizer: Tokenizer) -> None:
    report = report_of(judged(make(), make(), batch, tokenizer))
    assert report.passed
    assert [search.identical for search in report.runs[AS_STORED].searches] == [12, 12]
    assert "beams 3: 12 of 12 captions equal" in str(report)
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["runs"]["stored"]["passed"] is True


def test_another_caption_is_named_by_picture_and_step(make: Any, batch: Any, tokenizer: Tokenizer) -> None:
    def favour(logits: Any) -> None:
        logits[:, 5] += 40

    report = report_of(judged(make(), make(change(2, 3, favour)), batch, tokenizer))
    assert not report.passed
    for search in report.runs[AS_STORED].searches:
        (other,) = search.mismatches
        assert (other.picture, other.step, search.identical) == ("03.png", 2, 11)
    assert "other: 03.png, beams 1: the searches part at step 2" in str(report)
    assert "fp32 says" in str(report)


@pytest.mark.parametrize(("nudge", "ties"), [(TIE / 2, 1), (TIE * 4, 0)])
def test_only_fp32_says_what_a_tie_is(
    nudge: float, ties: int, make: Any, batch: Any, tokenizer: Tokenizer
) -> None:
    """fp32 has two best first words that differ by ``nudge``; the other is sure of the second by far."""

    def level(first: float, second: float) -> Spoil:
        def edit(logits: Any) -> None:
            best = logits.max()
            logits[:, 6], logits[:, 7] = best + 1 + first, best + 1 + second

        return change(0, 0, edit)

    greedy = judged(make(level(nudge, 0)), make(level(0, 2)), batch, tokenizer).searches[0]
    assert (len(greedy.ties), len(greedy.mismatches)) == (ties, 1 - ties)
    (departure,) = greedy.ties or greedy.mismatches
    assert (departure.picture, departure.step, departure.beam) == ("00.png", 0, 0)
    assert departure.score_gap == pytest.approx(nudge, rel=0.01)


def test_with_beams_the_gap_is_that_of_whole_captions(make: Any, batch: Any, tokenizer: Tokenizer) -> None:
    def favour(logits: Any) -> None:
        logits[:, 5] += 40

    expected, found = make(), make(change(2, 3, favour))
    (other,) = judged(expected, found, batch, tokenizer).searches[1].mismatches
    scores = []
    for backend in (expected, found):
        history = decode(backend, np.stack(batch.pixels[:8]), SEARCHES[1], SPECIAL, Clock())
        tokens = trace_back(history, 3, 1)[0].tokens
        scores.append(caption_score(expected, (batch.pixels[3][None], None), tokens, SEARCHES[1], SPECIAL))
    assert other.score_gap == pytest.approx(abs(scores[0] - scores[1]))
    assert other.score_gap > 0.01


def test_a_captions_score_is_what_the_search_gives_it(make: Any, batch: Any) -> None:
    backend = make()
    for options in SEARCHES:
        history = decode(backend, np.stack(batch.pixels), options, SPECIAL, Clock())
        for image, pixels in enumerate(batch.pixels):
            path = trace_back(history, image, 1)[0]
            assert caption_score(
                backend, (pixels[None], None), path.tokens, options, SPECIAL
            ) == pytest.approx(path.score, abs=1e-5)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_fail_by_picture_and_step(
    value: float, make: Any, batch: Any, tokenizer: Tokenizer
) -> None:
    def spoil(logits: Any) -> None:
        logits[:, 4] = value

    report = report_of(judged(make(), make(change(1, 6, spoil)), batch, tokenizer))
    assert not report.passed
    (found,) = report.runs[AS_STORED].not_finite
    assert (found.tensor, found.picture, found.step, found.searches) == ("logits", "06.png", 1, 2)
    assert "logits is NaN or infinite in 2 searches, first at step 1 of 06.png, beams 1" in str(report)
    json.dumps(report.to_dict(), allow_nan=False)


def test_the_encoders_infinity_fails_whatever_the_captions(
    make: Any, batch: Any, tokenizer: Tokenizer
) -> None:
    """A memory that no step uses: every caption is right, and the graph is wrong all the same."""

    def overflow(encoded: Encoded) -> Encoded:
        return Encoded({**encoded.memory, "mean": encoded.memory["mean"] * float("inf")}, encoded.state)

    judgement = judged(make(), make(encoded=overflow), batch, tokenizer)
    assert [search.identical for search in judgement.searches] == [12, 12]
    assert not judgement.passed
    assert (judgement.not_finite[0].tensor, judgement.not_finite[0].step) == ("memory_mean", None)
    both = judged(make(encoded=overflow), make(encoded=overflow), batch, tokenizer)
    assert both.passed, "what is infinite in fp32 too was meant so"


def test_ties_are_counted_apart_and_prove_nothing() -> None:
    departure = Departure("a.png", 1, 0, 0, 0.0, "a", "b")

    def search(identical: int, ties: int, others: int) -> SearchParity:
        return SearchParity(
            1, identical + ties + others, identical, (departure,) * ties, (departure,) * others
        )

    def passed(*counts: int) -> bool:
        return Judgement("", (search(*counts),), ()).passed

    assert passed(300, 0, 0)
    assert passed(299, 0, 1), "99.67 %"
    assert not passed(298, 0, 2), "99.33 %"
    assert passed(199, 100, 1), "99.5 % of the 200 that are no ties"
    assert not passed(198, 101, 1)
    assert not passed(0, 300, 0), "ties alone are no captions that are equal"
    assert share_of(search(199, 100, 1)) == 0.995


def test_a_report_without_a_run_has_not_passed() -> None:
    assert not PrecisionReport("bf16", 12, "blocks", (), TIE, {}, {}, ("cannot be run",), {}).passed


def test_nodes_are_kept_by_their_names() -> None:
    draft = Draft.of(Bundle.open("emoji"))
    full = full_graphs(draft)
    pins = kept_from_the_beginning(draft, [r"encoder\.trunk\.blocks\.0[._/].*", "Softmax|.*/Softmax"])
    plain = lowered_graphs(draft, full, "fp16", {})
    kept = lowered_graphs(draft, full, "fp16", keep_of(pins))
    spared = plain.lowered_nodes("encoder") - kept.lowered_nodes("encoder")
    assert {name[: len("encoder.trunk.blocks.0")] for name in spared} == {"encoder.trunk.blocks.0"}
    assert len(spared) >= 5, "convolutions and what is between them"
    assert kept_from_the_beginning(draft, ()) == frozenset()
    with pytest.raises(OptionsError, match="keep_float32='blocks' matches no node of encoder and step"):
        kept_from_the_beginning(draft, ["blocks"])


def test_what_is_asked_for_is_checked_first(tmp_path: Path) -> None:
    def refused(words: str, *given: Any, **options: Any) -> None:
        with pytest.raises(OptionsError, match=words):
            LoweringOptions(*given, **options).check()

    refused("precision 'int4' is unknown; known are fp16, bf16$", ("fp16", "int4"))
    refused("precision 'fp32' is unknown; .* always made", ("fp32",))
    refused("precision 'fp16' is given twice", ("fp16", "bf16", "fp16"))
    refused("least_pictures=5 and most_pictures=4", ("fp16",), least_pictures=5, most_pictures=4)
    refused("keep_float32='.' is about no precision", (), keep_float32=(".",))
    refused(r"keep_float32='\(' is no regular expression", ("fp16",), keep_float32=("(",))
    page = tmp_path / "doctor.html"
    refused("contradicts doctor=False", ("fp16",), doctor=False, doctor_report=page)
    refused("about no precision", (), doctor_report=page)
    with pytest.raises(StorageError, match="there is no folder"):
        LoweringOptions(("fp16",), doctor_report=tmp_path / "nowhere" / "page.html").check()
    LoweringOptions(("fp16", "bf16"), doctor_report=page).check()
    assert LoweringOptions(("fp16",), doctor_report=page).report_of("fp16") == page
    two = LoweringOptions(("fp16", "bf16"), doctor_report=page)
    assert [two.report_of(name) for name in two.precisions] == [
        tmp_path / "doctor.fp16.html",
        tmp_path / "doctor.bf16.html",
    ]
