"""`cnnrnn run --question` and `cnnrnn eval` with the shipped bundle that answers questions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cnnrnn.cli import main
from cnnrnn.core.samples import package_data

PICTURE = str(Path(__file__).resolve().parents[2] / "examples" / "vqa" / "shape.png")


def test_several_questions_are_answered_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["what shape is in the image?", "what color is the shape?", "does the image contain a circle?"]
    flags = [part for question in asked for part in ("--question", question)]
    assert main(["run", "vqa", PICTURE, "--json", *flags]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["question"] for line in lines] == asked
    assert [line["text"] for line in lines] == ["triangle", "red", "no"]
    assert {line["image"] for line in lines} == {PICTURE}


def test_a_line_has_the_question(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "vqa", PICTURE, "--question", "what is the shape?"]) == 0
    assert f"{PICTURE}: what is the shape?: triangle  (" in capsys.readouterr().out


def test_words_that_it_never_met_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "vqa", PICTURE, "--question", "What colour is the Shape?"]) == 0
    assert "the bundle has never met 'colour', and can make nothing of it" in capsys.readouterr().err


def test_answers_may_be_confined_to_a_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the search's phrases."""
    answers = tmp_path / "answers.txt"
    answers.write_text("circle\nrectangle\nyes\n")
    flags = ["--question", "what is the shape?", "--phrases", str(answers), "--n-best", "3", "--json"]
    assert main(["run", "vqa", PICTURE, *flags]) == 0
    line = json.loads(capsys.readouterr().out)
    assert {found["text"] for found in line["hypotheses"]} <= {"circle", "rectangle", "yes"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["vqa", PICTURE], "answers questions about pictures; give --question"),
        (
            ["emoji", PICTURE, "--question", "what?"],
            "--question 'what?': the bundle 'emoji' is asked nothing",
        ),
        (["vqa", PICTURE, "--question", "a " * 17], "has 17 tokens, and the bundle takes 16"),
        (["vqa", PICTURE, "--question", " "], "--question ' ' has no word"),
        (
            ["vqa", PICTURE, "--question", "a", "--question", "b", "--batch", "2"],
            "--batch 2 with 2 questions",
        ),
        (["vqa", PICTURE, "--question", "a", "--question", "b", "--stream"], "--question is given 2 times"),
    ],
)
def test_what_does_not_fit_is_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_picture_that_cannot_be_read_is_one_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    asked = ["--question", "what is the shape?", "--question", "is there a circle?"]
    assert main(["run", "vqa", str(broken), PICTURE, "--json", *asked]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert ["error" in line for line in lines] == [True, False, False]


def test_it_answers_its_official_test_questions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All 9,673; the author of easy-VQA reports 99.5 %."""
    page, card, answers = tmp_path / "page.html", tmp_path / "card.md", tmp_path / "answers.jsonl"
    written = ["--html", str(page), "--card", str(card), "--captions", str(answers)]
    assert main(["eval", "vqa", "--split", "test", "--json", "--resamples", "50", *written]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["questions"] == 9673
    assert scores["accuracy"] == scores["exact_match"] >= 0.998
    low, high = scores["intervals"]["accuracy"]
    assert low <= scores["accuracy"] <= high
    # By counting: 'yes' is the answer to 3,611 of them, and a question of yes or no gets its likelier one.
    assert scores["floor_most_frequent"]["accuracy"] < 0.5
    assert 0.5 < scores["floor_question_only"]["accuracy"] < 0.8
    assert "## How good it is" in card.read_text()
    assert '<p class="question">' in page.read_text()
    lines = [json.loads(line) for line in answers.read_text().splitlines()]
    assert len(lines) == 9673
    assert lines[0]["question"] == "what is the red shape?"
    right = sum(line["text"] in line["references"] for line in lines)
    assert right / len(lines) == pytest.approx(scores["exact_match"])


def test_captions_are_not_judged_as_answers(capsys: pytest.CaptureFixture[str]) -> None:
    samples = str(package_data("samples") / "demo")
    assert main(["eval", "vqa", samples]) == 1
    assert "have no question, and the bundle 'vqa' answers questions" in capsys.readouterr().err
    assert main(["eval", "emoji", "easy-vqa", "--split", "test"]) == 1
    assert "are questions, and the bundle 'emoji' captions pictures" in capsys.readouterr().err


def test_without_data_a_bundle_needs_a_recipe_with_some(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "emoji"]) == 2
    assert "DATA is not given, and the split test of the bundle 'emoji'" in capsys.readouterr().err


def test_the_demo_asks_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "demo.html"
    assert main(["demo", "--bundle", "vqa", "--output", str(page)]) == 2
    assert "the demo asks none; see cnnrnn run vqa PICTURE --question" in capsys.readouterr().err
    assert not page.exists()


def test_inspect_says_what_may_be_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "vqa"]) == 0
    assert "up to 16 of 30 tokens, such as 'what is the blue shape?'" in capsys.readouterr().out
