"""Questions about pictures in the formats of VQA v2, easy-VQA, and a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from cnnrnn.core.errors import DataError
from cnnrnn.data.readers import Sample, Source, read_captions, read_source

NAME = "COCO_train2014_{:012d}.jpg"
QUESTIONS = "v2_OpenEnded_mscoco_train2014_questions.json"
ANNOTATIONS = "v2_mscoco_train2014_annotations.json"


def vqa_questions() -> dict[str, Any]:
    """As the published file has it."""
    return {
        "info": {"description": "This is v2.0 of the VQA dataset.", "version": "2.0", "year": 2017},
        "task_type": "Open-Ended",
        "data_type": "mscoco",
        "license": {"name": "Creative Commons Attribution 4.0 International License"},
        "data_subtype": "train2014",
        "questions": [
            {"image_id": 458752, "question": "What is this photo taken looking through?", "question_id": 1},
            {"image_id": 458752, "question": "What position is this man playing?", "question_id": 2},
            {"image_id": 9, "question": "Is it sunny?", "question_id": 3},
        ],
    }


def vqa_annotations() -> dict[str, Any]:
    said = {1: ["net"] * 9 + ["mesh"], 2: ["pitcher"] * 8 + ["catcher"] * 2, 3: ["yes"] * 10}
    return {
        "info": {},
        "data_subtype": "train2014",
        "annotations": [
            {
                "question_type": "what is this",
                "multiple_choice_answer": answers[0],
                "answers": [
                    {"answer": text, "answer_confidence": "yes", "answer_id": number + 1}
                    for number, text in enumerate(answers)
                ],
                "image_id": 458752,
                "answer_type": "other",
                "question_id": question,
            }
            for question, answers in said.items()
        ],
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures, and VQA v2's two files of one split."""
    for image in (9, 458752):
        assert cv2.imwrite(str(tmp_path / NAME.format(image)), np.full((8, 8, 3), 90, np.uint8))
    (tmp_path / QUESTIONS).write_text(json.dumps(vqa_questions()))
    (tmp_path / ANNOTATIONS).write_text(json.dumps(vqa_annotations()))
    return tmp_path


def test_vqa_v2(folder: Path) -> None:
    samples = read_captions(folder / QUESTIONS)
    assert [sample.question for sample in samples] == [
        asked["question"] for asked in vqa_questions()["questions"]
    ]
    assert [sample.image.name for sample in samples] == [NAME.format(458752)] * 2 + [NAME.format(9)]
    assert samples[0].captions == ("net",) * 9 + ("mesh",)
    assert read_source(folder / QUESTIONS).pictures == 3


def test_pictures_in_the_folder_of_their_split(folder: Path) -> None:
    (folder / "train2014").mkdir()
    (folder / NAME.format(9)).rename(folder / "train2014" / NAME.format(9))
    assert read_captions(folder / QUESTIONS)[2].image == folder / "train2014" / NAME.format(9)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda asked, said: asked["questions"].append(asked["questions"][0]), "questions[3] has the id 1"),
        (
            lambda asked, said: said["annotations"].append(said["annotations"][0]),
            "answers the question 1 again",
        ),
        (lambda asked, said: asked["questions"].pop(), "answers 1 questions that"),
        (lambda asked, said: said["annotations"].pop(), "has no answer"),
        (lambda asked, said: asked["questions"][0].pop("image_id"), "lacks or misnames 'image_id'"),
        (lambda asked, said: said["annotations"][0].pop("answers"), "lacks or misnames 'answers'"),
        (lambda asked, said: asked["questions"][1].update(question="  "), "has the question '  '"),
        (lambda asked, said: asked["questions"][1].update(question=7), "has the question 7"),
        (
            lambda asked, said: asked["questions"][1].update(question="a" * 10_001),
            "question of 10001 characters",
        ),
        (
            lambda asked, said: asked["questions"][2].update(image_id=10),
            f"'train2014/{NAME.format(10)}' is missing",
        ),
    ],
)
def test_what_is_wrong_is_named(folder: Path, spoil: Any, said: str) -> None:
    asked, answered = vqa_questions(), vqa_annotations()
    spoil(asked, answered)
    (folder / QUESTIONS).write_text(json.dumps(asked))
    (folder / ANNOTATIONS).write_text(json.dumps(answered))
    with pytest.raises(DataError) as error:
        read_captions(folder / QUESTIONS)
    assert said in str(error.value)


def test_questions_without_answers_are_refused(folder: Path) -> None:
    (folder / ANNOTATIONS).unlink()
    with pytest.raises(DataError, match=f"looked for in {ANNOTATIONS} beside it"):
        read_captions(folder / QUESTIONS)


def test_easy_vqa_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    assert cv2.imwrite(str(tmp_path / "images" / "0.png"), np.full((8, 8, 3), 90, np.uint8))
    (tmp_path / "questions.json").write_text(json.dumps([["what is it?", "grey", 0], ["is it?", "yes", 0]]))
    assert read_captions(tmp_path) == [
        Sample(tmp_path / "images" / "0.png", ("grey",), "what is it?"),
        Sample(tmp_path / "images" / "0.png", ("yes",), "is it?"),
    ]
    (tmp_path / "questions.json").write_text(json.dumps([["what is it?", "grey", 0], ["is it?", "yes"]]))
    with pytest.raises(DataError, match=r"\[1\] is .*; a question, its answer and the picture's number"):
        read_captions(tmp_path)


def test_a_folder_of_captions_may_hold_other_files(tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "a.png"), np.full((8, 8, 3), 90, np.uint8))
    (tmp_path / "captions.json").write_text('{"a.png": "grey"}')
    (tmp_path / "questions.json").write_text("[]")
    assert read_captions(tmp_path) == [Sample(tmp_path / "a.png", ("grey",))]


def test_easy_vqa_as_its_package_has_it() -> None:
    """The counts are those of the data set's own description."""
    test = read_captions(Source("easy-vqa", split="test"))  # type: ignore[arg-type]
    assert len(test) == 9673
    assert len({sample.image for sample in test}) == 1000
    assert test[0].question == "what is the red shape?"
    assert test[0].captions == ("triangle",)
    with pytest.raises(DataError, match="has the splits train and test"):
        read_captions("easy-vqa")


def test_a_table(tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "a.png"), np.full((8, 8, 3), 90, np.uint8))
    table = tmp_path / "asked.csv"
    table.write_text(
        'image,question,answer\na.png,"What, is it?",grey\na.png,Is it?,yes\na.png,"What, is it?",gray\n'
    )
    assert read_captions(table) == [
        Sample(tmp_path / "a.png", ("grey", "gray"), "What, is it?"),
        Sample(tmp_path / "a.png", ("yes",), "Is it?"),
    ]
    table.write_text("image,question,caption\na.png,Is it?,yes\n")
    with pytest.raises(DataError, match="has no column 'answer'"):
        read_captions(Source(str(table), kind="vqa_csv"))
    table.write_text("picture,question,answer\na.png,Is it?,yes\n")
    with pytest.raises(DataError, match="has no column 'image'; its first line must name image, question"):
        read_captions(table)
    table.write_text("image,question,answer\na.png,Is it?,\n")
    with pytest.raises(DataError, match="has the answer '', which says nothing"):
        read_captions(table)
