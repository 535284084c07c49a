"""Questions about pictures: VQA v2's files, easy-VQA's, and a table of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cnnrnn.core.errors import DataError
from cnnrnn.data.readers.recognise import read_json
from cnnrnn.data.readers.sample import Entry
from cnnrnn.data.readers.tables import csv_rows

_QUESTIONS, _ANNOTATIONS = "questions", "annotations"


def vqa_entries(file: Path, content: Any) -> Iterator[Entry]:
    """VQA v2 (Goyal et al. 2017): ``v2_OpenEnded_mscoco_train2014_questions.json``, and beside it
    ``v2_mscoco_train2014_annotations.json`` with ten people's answers to each question.

    Pictures are COCO's: ``COCO_train2014_000000000009.jpg`` for the data subtype ``train2014``, in a folder
    of that name or without it, or called by the number alone.
    """
    path = _annotations(file)
    answers = _answers(path, read_json(path))
    subtype = content.get("data_subtype", "")
    seen: dict[Any, int] = {}
    try:
        for number, asked in enumerate(content[_QUESTIONS]):
            where, identity = f"questions[{number}]", asked["question_id"]
            if seen.setdefault(identity, number) != number:
                raise DataError(
                    f"{file}: {where} has the id {identity!r}, which questions[{seen[identity]}] has too; "
                    "an id is one question's"
                )
            names = _coco_names(subtype, asked["image_id"])
            yield Entry(where, names, answers.pop(identity, ()), question=asked["question"])
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file} is not VQA v2's JSON: an entry lacks or misnames {error}") from error
    if answers:
        first = next(iter(answers))
        raise DataError(
            f"{path} answers {len(answers)} questions that {file.name} does not ask, first the id {first!r}; "
            "give the two files of one split"
        )


def easy_vqa_entries(file: Path, content: Any) -> Iterator[Entry]:
    """easy-VQA (Zhou 2019): ``[question, answer, number of the picture]`` each, pictures in ``images``."""
    for number, asked in enumerate(content):
        where = f"[{number}]"
        if not isinstance(asked, list) or len(asked) != 3:
            raise DataError(
                f"{file}: {where} is {str(asked)[:60]!r}; a question, its answer and the picture's number "
                "are needed"
            )
        question, answer, image = asked
        yield Entry(where, (f"images/{image}.png",), (answer,), question=question)


def vqa_csv_entries(file: Path) -> Iterator[Entry]:
    """A table with the columns ``image``, ``question`` and ``answer``; several answers have a row each."""
    asked: dict[tuple[str, str], tuple[str, list[str]]] = {}
    for where, row in csv_rows(file, ("image", "question", "answer")):
        asked.setdefault((row["image"], row["question"]), (where, []))[1].append(row["answer"])
    for (name, question), (where, answers) in asked.items():
        yield Entry(where, (name,), tuple(answers), question=question)


def _annotations(file: Path) -> Path:
    """The file of answers: ``..._annotations.json``, called as the questions but for the task's name."""
    name = file.name.replace("OpenEnded_", "").replace("MultipleChoice_", "")
    path = file.with_name(name.replace(_QUESTIONS, _ANNOTATIONS))
    if path == file or not path.is_file():
        raise DataError(
            f"{file} has questions, and their answers are looked for in {path.name} beside it, which is not "
            "there; test-dev and test-std of VQA v2 have none that are published"
        )
    return path


def _answers(path: Path, content: Any) -> dict[Any, tuple[object, ...]]:
    found: dict[Any, tuple[object, ...]] = {}
    try:
        for number, annotation in enumerate(content[_ANNOTATIONS]):
            identity = annotation["question_id"]
            if identity in found:
                raise DataError(f"{path}: annotations[{number}] answers the question {identity!r} again")
            found[identity] = tuple(answer["answer"] for answer in annotation["answers"])
    except (KeyError, TypeError) as error:
        raise DataError(f"{path} is not VQA v2's JSON: an entry lacks or misnames {error}") from error
    return found


def _coco_names(subtype: str, image: object) -> tuple[str, ...]:
    padded = f"{image:012d}" if isinstance(image, int) else str(image)
    name = f"COCO_{subtype}_{padded}.jpg"
    return (f"{subtype}/{name}", name, f"{padded}.jpg", f"{image}.jpg", f"{image}.png")
