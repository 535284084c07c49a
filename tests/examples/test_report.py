"""The phantoms of examples/report: what is drawn, what is written of it, and what is read back."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from examples.report.anatomy import SPLITS, draw_phantom, draw_study, split_of
from examples.report.drawing import SIDE, frontal
from examples.report.findings import FINDINGS, Label
from examples.report.grammar import report
from examples.report.labeller import label
from examples.report.phantom import write_studies
from examples.report.score import score


def test_the_labeller_reads_back_what_the_grammar_says() -> None:
    for number in range(2000):
        draw = random.Random(number)
        study = draw_study(draw)
        text = report(study, draw)
        found = {finding: label(text).get(finding, Label(finding, "absent")) for finding in FINDINGS}
        assert found == {part.finding: part for part in study.labels}, text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No evidence of right pleural effusion.", Label("effusion", "absent")),
        ("A large left pleural effusion.", Label("effusion", "present", "left", "marked")),
        ("Possible small right effusion.", Label("effusion", "uncertain", "right")),
        ("A nodule may lie in the left upper zone.", Label("nodule", "uncertain", "left", "", "upper")),
    ],
)
def test_the_labeller_reads_what_the_grammar_never_wrote(text: str, expected: Label) -> None:
    assert label(text) == {expected.finding: expected}


def test_splits_share_no_combination_and_no_value() -> None:
    drawn = {
        split: [draw_phantom(split, random.Random(f"{split}{number}")) for number in range(200)]
        for split in SPLITS
    }
    combinations = {split: {phantom.study.combination for phantom in drawn[split]} for split in SPLITS}
    assert not combinations["train"] & (combinations["val"] | combinations["test"])
    assert not combinations["val"] & combinations["test"]
    for split in SPLITS:
        assert all(split_of(phantom.study) == split for phantom in drawn[split])
        held = {int((phantom.chest - 0.74) / 0.10 * 20) for phantom in drawn[split]}
        assert held <= {"val": {2, 12}, "test": {7, 17}}.get(split, set(range(20)) - {2, 12, 7, 17})


def test_left_is_on_the_pictures_right() -> None:
    """Fluid is brighter than the lung that it stands in, low and on its own side alone."""
    phantom = draw_phantom("train", random.Random(3))
    bare = replace(
        phantom, left_level=0.0, right_level=0.0, nodule_radius=0.0, rotation_degrees=0.0, noise=0.0
    )
    clear = frontal(bare).astype(int)
    fluid = frontal(replace(bare, left_level=0.35)).astype(int) - clear
    assert fluid[:, SIDE // 2 :].max() > 40
    assert np.abs(fluid[:, : SIDE // 2 - 5]).max() == 0
    assert np.abs(fluid[: SIDE // 3]).max() < 20


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    counts = {"train": 3, "val": 1, "test": 2}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_studies(tmp_path / name, counts, seed=5)
    written = [
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("a", "b")
    ]
    assert written[0] == written[1]
    content = json.loads((tmp_path / "a" / "annotation.json").read_text())
    assert {split: len(studies) for split, studies in content.items()} == counts
    write_studies(tmp_path / "b", counts, seed=6)
    assert json.loads((tmp_path / "b" / "annotation.json").read_text()) != content


def test_scores_count_sides_and_negations_apart() -> None:
    true = "a large left effusion is present . the lungs are clear . the heart is normal in size ."
    assert score([(true, true)])["f1"] == 1.0
    wrong_side = score([(true.replace("left", "right"), true)])
    assert (wrong_side["f1"], wrong_side["wrong_sides"], wrong_side["negation_errors"]) == (1.0, 1.0, 0.0)
    denied = score([("no pleural effusion . the lungs are clear .", true)])
    assert (denied["recall"], denied["negation_errors"]) == (0.0, 1 / 5)
    doubted = score([("possible left effusion .", true)])
    assert (doubted["precision"], doubted["negation_errors"]) == (0.0, 0.0)
