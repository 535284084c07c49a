"""The gate sees what is planted: a wrong tensor, a wrong word, a tie, a NaN; and it names the place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cnnrnn.core.errors import OptionsError
from cnnrnn.core.manifest import ImageSpec
from cnnrnn.core.samples import pictures_in
from cnnrnn.core.search import SearchOptions
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.export.parity import Pictures, compare
from cnnrnn.export.pictures import find_pictures, read_pictures
from cnnrnn.export.report import ParityReport
from cnnrnn.export.tolerances import FP32, tolerance_of
from cnnrnn.export.torch_backend import TorchBackend
from cnnrnn.runtime.backend import Encoded, Stepped
from tests.export.planted import Planted, Searcher

SEARCHES = (SearchOptions(beams=1, max_length=6), SearchOptions(beams=3, max_length=6, n_best=3))


@pytest.fixture(scope="module")
def both(make_captioner: Any, image_spec: ImageSpec) -> tuple[TorchBackend, Planted]:
    searcher: Any = Searcher()
    return TorchBackend(make_captioner(), image_spec, searcher), Planted(
        make_captioner(), image_spec, searcher
    )


@pytest.fixture(scope="module")
def batch(pictures: Path, image_spec: ImageSpec) -> Pictures:
    return read_pictures(pictures_in(pictures), image_spec, 12)[0]


def report_of(
    both: tuple[TorchBackend, Planted], batch: Pictures, tokenizer: Tokenizer, **faults: Any
) -> ParityReport:
    for name, fault in faults.items():
        setattr(both[1], name, fault)
    try:
        searches, tensors = compare(*both, batch, SEARCHES, tokenizer)
    finally:
        for name in faults:
            delattr(both[1], name)
    return ParityReport(len(batch.names), "blocks", (), searches, tensors, None, {})


def test_equal_backends_pass_and_the_captions_are_worth_comparing(
    both: Any, batch: Any, tokenizer: Any
) -> None:
    report = report_of(both, batch, tokenizer)
    assert report.passed
    assert [search.identical for search in report.searches] == [12, 12]
    assert sorted(report.tensors) == [
        *("alignment", "logits", "memory_keys", "memory_mean", "memory_values", "next_state_h", "state_h")
    ]
    assert all(tensor.largest_difference == 0 for tensor in report.tensors.values())
    assert report.tensors["logits"].compared > 24, "one for each picture, search and step"
    assert json.loads(json.dumps(report.to_dict()))["passed"] is True


def test_a_wrong_word_is_a_mismatch_named_by_picture_and_step(both: Any, batch: Any, tokenizer: Any) -> None:
    def spoil(step: int, stepped: Stepped) -> Stepped:
        logits = stepped.logits.clone()
        if step == 2 and len(logits) == 8:  # the first batch of eight
            logits[3, :, 5] += 40
        return Stepped(logits, stepped.state, stepped.alignment)

    report = report_of(both, batch, tokenizer, spoil=spoil)
    assert not report.passed
    for search in report.searches:
        (departure,) = search.mismatches
        assert (departure.picture, departure.step) == ("03.png", 2)
        assert search.identical == 11
    assert "mismatch: 03.png, beams 1: the searches part at step 2" in str(report)
    assert (report.tensors["logits"].picture, report.tensors["logits"].step) == ("03.png", 2)


def test_a_tensor_beyond_its_tolerance_fails_though_every_word_is_right(
    both: Any, batch: Any, tokenizer: Any
) -> None:
    def spoil(step: int, stepped: Stepped) -> Stepped:
        return Stepped(stepped.logits + (0.5 if step == 1 else 0), stepped.state, stepped.alignment)

    report = report_of(both, batch, tokenizer, spoil=spoil)
    assert [len(search.mismatches) for search in report.searches] == [0, 0]
    assert not report.passed
    assert not report.tensors["logits"].passed
    assert report.tensors["logits"].step == 1
    assert report.tensors["alignment"].passed
    assert "times the tolerance" in str(report)


def test_the_encoders_tensors_are_compared_too(both: Any, batch: Any, tokenizer: Any) -> None:
    def spoil(encoded: Encoded) -> Encoded:
        return Encoded({**encoded.memory, "mean": encoded.memory["mean"] + 1}, encoded.state)

    tensor = report_of(both, batch, tokenizer, spoil_encoded=spoil).tensors["memory_mean"]
    assert (tensor.passed, tensor.step) == (False, None)


def test_nan_is_far_beyond_every_tolerance(both: Any, batch: Any, tokenizer: Any) -> None:
    def spoil(step: int, stepped: Stepped) -> Stepped:
        assert stepped.alignment is not None
        return Stepped(stepped.logits, stepped.state, stepped.alignment * float("nan"))

    report = report_of(both, batch, tokenizer, spoil=spoil)
    assert not report.tensors["alignment"].passed
    json.dumps(report.to_dict(), allow_nan=False)


@pytest.mark.parametrize(("nudge", "ties"), [(2e-5, 1), (2e-3, 0)])
def test_a_tie_is_counted_apart_and_only_a_tie(
    nudge: float, ties: int, both: Any, batch: Any, tokenizer: Any
) -> None:
    """The oracle's two best first words are equal but for ``nudge``, which the other backend turns round."""

    def level(sign: float) -> Callable[[int, Stepped], Stepped]:
        def spoil(step: int, stepped: Stepped) -> Stepped:
            logits = stepped.logits.clone()
            if step == 0 and len(logits) == 8:
                best = logits[0].max(-1, keepdim=True).values
                logits[0, :, 6:7] = best + 1 + sign * nudge / 2
                logits[0, :, 7:8] = best + 1 - sign * nudge / 2
            return Stepped(logits, stepped.state, stepped.alignment)

        return spoil

    oracle = Planted(both[0]._model, ImageSpec(16, 16, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)), both[0]._searcher)
    oracle.spoil = level(1.0)
    greedy = report_of((oracle, both[1]), batch, tokenizer, spoil=level(-1.0)).searches[0]
    assert (len(greedy.ties), len(greedy.mismatches)) == (ties, 1 - ties)
    (departure,) = greedy.ties or greedy.mismatches
    assert (departure.picture, departure.step, departure.beam) == ("00.png", 0, 0)
    assert departure.score_gap == pytest.approx(nudge, abs=5e-6)


def test_every_tensor_has_a_tolerance_and_every_tolerance_a_reason() -> None:
    for name in ("memory_keys", "state_h0", "next_state_h0", "logits", "alignment"):
        assert tolerance_of(name).reason
    assert tolerance_of("next_state_h") is FP32["next_state"]
    assert tolerance_of("state_h") is FP32["state"]


def test_pictures_are_found_spread_and_counted(pictures: Path, image_spec: ImageSpec, tmp_path: Path) -> None:
    found, source = find_pictures(pictures, 4, 4)
    assert [path.name for path in found] == ["00.png", "03.png", "06.png", "09.png"]
    assert source == "folder blocks"
    with pytest.raises(OptionsError, match=r"folder blocks has 12 pictures and the parity gate needs 100"):
        find_pictures(pictures, 100, 200)
    with pytest.raises(OptionsError, match="is no folder"):
        find_pictures(tmp_path / "nowhere", 1, 2)


def test_an_unreadable_picture_is_left_out_and_named(
    pictures: Path, image_spec: ImageSpec, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    read, skipped = read_pictures([*pictures_in(pictures), broken], image_spec, 12)
    assert (len(read.names), skipped) == (12, ("broken.png",))
    assert read.pixels[0].shape == (16, 16, 3)
    assert read.pixels[0].dtype == np.uint8
    with pytest.raises(OptionsError, match=r"only 12 of 13 pictures could be read .* broken.png"):
        read_pictures([*pictures_in(pictures), broken], image_spec, 13)


def test_the_oracle_reorders_beams_by_their_parents(make_captioner: Any, image_spec: ImageSpec) -> None:
    searcher: Any = Searcher()
    oracle = TorchBackend(make_captioner(), image_spec, searcher)
    encoded = oracle.encode(np.zeros((2, 16, 16, 3), np.uint8))
    state = {"h": torch.randn(2, 3, 12)}
    tokens, swapped = (
        torch.full((2, 3), 4, dtype=torch.int32),
        torch.tensor([[2, 1, 0]] * 2, dtype=torch.int32),
    )
    straight = oracle.step(tokens, torch.arange(3, dtype=torch.int32).repeat(2, 1), state, encoded.memory)
    turned = oracle.step(tokens, swapped, state, encoded.memory)
    torch.testing.assert_close(turned.logits, straight.logits.flip(1))
