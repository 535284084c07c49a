"""``cnnrnn eval``: its table, its JSON and its page."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cnnrnn.cli import main
from cnnrnn.cli.eval_card import write_card
from cnnrnn.cli.eval_page import choose
from cnnrnn.core.bundle import Bundle
from cnnrnn.core.samples import package_data

pytest.importorskip("pycocoevalcap")
pytest.importorskip("sacrebleu")


@pytest.fixture
def data(colour_pictures: Path) -> Path:
    captions = {f"{name}.png": [f"a {name} square", f"a <b>{name}</b> thing"] for name in ("red", "green")}
    captions["blue.png"] = ["two dogs on a beach"]
    (colour_pictures / "captions.json").write_text(json.dumps(captions))
    return colour_pictures


@pytest.fixture
def judge(colour_bundle: Path, data: Path) -> Callable[..., int]:
    return lambda *arguments: main(["eval", str(colour_bundle), str(data), "--no-java", *arguments])


def test_the_table_has_every_metric_with_its_interval(
    judge: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert judge("--resamples", "100") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:10]] == [
        "exact_match",
        "bleu_1",
        "bleu_2",
        "bleu_3",
        "bleu_4",
        "rouge_l",
        "cider",
        "oracle_cider",
        "3",
    ]
    assert re.fullmatch(r"exact_match +0\.6667 +0\.\d{4} to 1\.0000 +0\.\d{4}", lines[1])
    assert lines[9] == "3 pictures, beam 5, tokenizer plain"
    assert lines[10].startswith("meteor is left out: not asked for")


def test_json_keeps_its_names(judge: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert judge("--json", "--resamples", "0", "--seed", "4") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["exact_match"] == pytest.approx(2 / 3)
    assert {
        "bleu_4",
        "cider",
        "oracle_cider",
        "floor_most_frequent",
        "left_out",
        "tokenizer",
    } <= answer.keys()
    assert answer["intervals"] == {}
    assert answer["bootstrap"]["seed"] == 4


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--tokenizer", "13a"], 2, "tokenizer='13a' is unknown"),
        (["--skip-share", "1"], 2, "--skip-share is 1.0; give 0 or more, below 1"),
        (["--resamples", "-1"], 2, "resamples=-1 must be from 0"),
        (["--split", "test"], 1, "there is no split 'test'"),
    ],
)
def test_what_is_wrong_is_known_before_any_work(
    judge: Callable[..., int], arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert judge(*arguments) == code
    assert said in capsys.readouterr().err


def test_the_page_shows_captions_references_scores_and_attention(
    judge: Callable[..., int], data: Path, tmp_path: Path
) -> None:
    (data / "red.png").write_bytes(b"no picture")
    assert judge("--html", str(tmp_path / "page.html")) == 1
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert re.findall(r"https?:|url\((?!data:)|@import", page) == []
    assert re.findall(r'<h2 class="group">([^<]*)', page) == ["The best", "The worst"]
    assert re.findall(r'<h2 id="[^"]*">([^<]*)', page) == ["a green square", "a blue square"]
    assert "<li>a &lt;b&gt;green&lt;/b&gt; thing</li>" in page
    assert "<li>two dogs on a beach</li>" in page
    assert len(re.findall(r"<span>CIDEr-D \d\.\d{3}</span>", page)) == 2
    assert page.count("looked at the") >= 2 * 3
    assert '<th scope="row">bleu_4</th>' in page


def test_a_page_without_a_folder_is_known_before_any_work(
    judge: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert judge("--html", str(tmp_path / "none" / "page.html")) == 1
    assert f"there is no folder {tmp_path / 'none'}" in capsys.readouterr().err


def test_the_card_of_captions_claims_no_more_than_the_bundle_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An older recipe is from before pictures of two sets were looked for."""
    card = tmp_path / "card.md"
    samples = str(package_data("samples") / "demo")
    notes = tmp_path / "notes.md"
    notes.write_text("## Limits\n\nPictures of Crète only.\n", encoding="utf-8")
    judge = ["eval", "emoji", samples, "--no-java", "--resamples", "5"]
    assert main([*judge, "--card", str(card), "--card-notes", str(notes)]) == 0
    text = card.read_text(encoding="utf-8")
    assert "| judged on | demo: 8 pictures |" in text
    assert "| train | noto, noto-v1, twemoji, openmoji, emojione, emojione-v1, fxemoji, streamline |" in text
    assert "| fp16, beside fp32 | 1 | 326 | 326 | 0 |" in text
    assert "| pictures in two of these | refused, by their content |" in text
    manifest = Bundle.open("emoji").manifest
    older = copy.deepcopy(manifest.provenance)
    del older["training"]["data"]["allow_leaks"]
    write_card(card, dataclasses.replace(manifest, provenance=older), [("", "emoji")], {})
    assert "in two of these" not in card.read_text(encoding="utf-8")
    assert "\n## Limits\n\nPictures of Crète only.\n" in text


def test_notes_that_no_card_can_hold_are_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes, samples = tmp_path / "notes.md", str(package_data("samples") / "demo")
    assert main(["eval", "emoji", samples, "--card-notes", str(notes)]) == 2
    assert "give --card FILE too" in capsys.readouterr().err
    with_card = ["--card", str(tmp_path / "card.md"), "--card-notes", str(notes)]
    assert main(["eval", "emoji", samples, *with_card]) == 2
    assert "cannot be read as UTF-8 text" in capsys.readouterr().err
    assert not (tmp_path / "card.md").exists()


def test_each_picture_is_in_one_group() -> None:
    scores = [np.linspace(10, 0, 100), np.zeros(100)]
    groups = choose(scores, [number for number in range(100) if number != 1], seed=3)
    best, worst, drawn = groups.values()
    assert best == [0, *range(2, 9)]
    assert worst == list(range(99, 91, -1))
    assert len(set(drawn)) == 8
    assert set(drawn) <= set(range(9, 92))
    assert groups == choose(scores, [number for number in range(100) if number != 1], seed=3)
    assert groups != choose(scores, [number for number in range(100) if number != 1], seed=4)
    assert [len(choose(scores, range(n), 0)["The best"]) for n in (0, 1, 2, 3, 4)] == [0, 1, 1, 1, 2]
