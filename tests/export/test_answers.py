"""A user's own model that answers questions: checked, exported, and asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import cnnrnn
from cnnrnn.core.bundle import Bundle
from cnnrnn.core.errors import OptionsError
from cnnrnn.core.manifest import ImageSpec, SearchDefaults
from cnnrnn.core.samples import pictures_in
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.export import (
    ExportOptions,
    GateQuestions,
    LoweringOptions,
    add_precisions,
    check_model,
    export_bundle,
)
from cnnrnn.runtime.ort_cpu import OrtCpuBackend

QUESTIONS = ("a b", "c", "d e f", "g h a b", "h")


@pytest.fixture(scope="module")
def answerer_class(captioner_class: type[Any]) -> type[Any]:
    """The captioner of this folder's tests, whose keys depend on the sum of the question's words."""

    class Answering(captioner_class):  # type: ignore[misc]
        def encode_image(self, image: Tensor) -> dict[str, Tensor]:
            return {"grid": self.trunk(image).flatten(2).transpose(1, 2)}

        def encode(  # type: ignore[override]
            self, seen: dict[str, Tensor], question: Tensor, question_length: Tensor
        ) -> dict[str, Tensor]:
            counts = torch.arange(question.shape[1]) < question_length.unsqueeze(1)
            asked = (self.embedding(question) * counts.unsqueeze(2)).sum(1)
            grid = seen["grid"] * torch.tanh(asked / 4).unsqueeze(1)
            return {"keys": self.key(grid), "values": grid, "mean": grid.mean(1)}

    return Answering


@pytest.fixture(scope="module")
def asked(tokenizer: Tokenizer) -> GateQuestions:
    return GateQuestions(QUESTIONS, tokenizer, 4)


@pytest.fixture(scope="module")
def folder(
    answerer_class: type[Any],
    make_captioner: Callable[..., Any],
    tokenizer: Tokenizer,
    image_spec: ImageSpec,
    pictures: Path,
    asked: GateQuestions,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The bundle, which its gates have passed."""
    target = tmp_path_factory.mktemp("bundles") / "answers"
    options = ExportOptions(
        name="answers",
        image=image_spec,
        search=SearchDefaults(beams=3, max_beams=3, max_length=5),
        pictures=pictures,
        alignment_grid=(4, 4),
        questions=asked,
        least_pictures=12,
    )
    report = export_bundle(make_captioner(answerer_class), tokenizer, target, options=options)
    assert report.passed
    assert report.pictures == 12 + 8
    return target


def test_the_manifest_says_how_questions_are_read(folder: Path) -> None:
    manifest = Bundle.open(folder).manifest
    assert manifest.task == "vqa"
    assert manifest.question is not None
    assert manifest.question.examples == QUESTIONS
    inputs = [
        (tensor.name, tensor.dtype, tensor.shape) for tensor in manifest.precisions["fp32"]["encoder"].inputs
    ]
    assert inputs == [
        ("image", "uint8", ("I", 16, 16, 3)),
        ("question", "int32", ("B", 4)),
        ("question_length", "int32", ("B",)),
    ]


def test_many_questions_of_one_picture_encode_it_once(
    folder: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    encode = OrtCpuBackend.encode

    def counted(backend: OrtCpuBackend, images: Any, *rest: Any) -> Any:
        seen.append(len(images))
        return encode(backend, images, *rest)

    monkeypatch.setattr(OrtCpuBackend, "encode", counted)
    picture = pictures_in(pictures)[0]
    with cnnrnn.load(folder) as model:
        together = model.ask(picture, QUESTIONS)
        assert seen == [1]
        single = [model(picture, question=question) for question in QUESTIONS]
    assert [result.tokens for result in together] == [result.tokens for result in single]
    for one, other in zip(together, single, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-5)
    assert [result.question for result in together] == list(QUESTIONS)
    assert len({result.tokens for result in together}) > 1
    seen.clear()
    with cnnrnn.load(folder) as model:
        many = model.ask(picture, QUESTIONS * 60)
    assert seen == [1, 1], "256 at once, and the rest"
    assert [result.tokens for result in many] == [result.tokens for result in together] * 60
    assert together[0].to_dict()["question"] == QUESTIONS[0]


def test_a_list_of_pictures_has_one_question_or_one_each(folder: Path, pictures: Path) -> None:
    paths = pictures_in(pictures)[:3]
    with cnnrnn.load(folder) as model:
        each = model(paths, question=QUESTIONS[:3])
        same = model(paths, question=QUESTIONS[1])
        alone = [model(path, question=text).tokens for path, text in zip(paths, QUESTIONS, strict=False)]
        assert [result.tokens for result in each] == alone
        assert each[1].tokens == same[1].tokens
        assert [result.question for result in same] == [QUESTIONS[1]] * 3
        mapped = list(model.map(paths, question=QUESTIONS[1]))
        assert [found.tokens for found in mapped] == [result.tokens for result in same]  # type: ignore[union-attr]
        stream = model.stream(paths[0], question=QUESTIONS[0])
        assert [token for piece in stream for token in piece.tokens] == list(each[0].tokens)


def test_questions_that_cannot_be_read_are_refused_before_any_work(folder: Path, pictures: Path) -> None:
    paths = pictures_in(pictures)[:3]
    with cnnrnn.load(folder) as model:
        for options, said in (
            ({}, "answers questions about pictures; give question='a b', for example"),
            ({"question": ""}, "has no word"),
            ({"question": "a b c d e"}, "has 5 tokens, and the bundle takes 4"),
            ({"question": 7}, "question=7 is no text"),
            ({"question": []}, "answers questions"),
            ({"question": ["a", "b"]}, "question has 2 texts for 3 pictures"),
        ):
            with pytest.raises(OptionsError, match=said):
                model(paths, **options)  # type: ignore[arg-type, call-overload]
    with cnnrnn.load("emoji") as model, pytest.raises(OptionsError, match="'emoji' is asked nothing"):
        model(paths, question="a")


def test_an_unknown_word_is_the_unknown_word(folder: Path, pictures: Path) -> None:
    with cnnrnn.load(folder) as model:
        one, other = model.ask(pictures_in(pictures)[0], ["a wombat", "a quokka"])
    assert one.tokens == other.tokens
    assert (one.unknown_words, other.unknown_words) == (("wombat",), ("quokka",))
    assert one.to_dict()["unknown_words"] == ["wombat"]


def test_a_precision_is_added_by_the_bundles_own_questions(
    folder: Path, pictures: Path, tmp_path: Path
) -> None:
    options = LoweringOptions(precisions=("fp16",), least_pictures=12)
    reports = add_precisions(folder, tmp_path / "both", options, pictures=pictures)
    assert reports["fp16"].passed
    assert reports["fp16"].pictures == 12 + 8
    with cnnrnn.load(tmp_path / "both", precision="fp16") as model:
        assert np.isfinite(model(pictures_in(pictures)[0], question="a").score)


def test_the_checker_knows_questions(
    answerer_class: type[Any], make_captioner: Callable[..., Any], image_spec: ImageSpec, asked: GateQuestions
) -> None:
    model = make_captioner(answerer_class)
    assert check_model(model, image_spec, question=asked.spec).ok
    assert "has no method encode_image" in str(check_model(make_captioner(), image_spec, question=asked.spec))

    class ReadsOn(answerer_class):  # type: ignore[misc]
        def encode(self, seen: Any, question: Tensor, question_length: Tensor) -> Any:
            return super().encode(seen, question, torch.full_like(question_length, 4))

    assert "beyond its question_length" in str(
        check_model(make_captioner(ReadsOn), image_spec, question=asked.spec)
    )

    class Deaf(answerer_class):  # type: ignore[misc]
        def encode(self, seen: Any, question: Tensor, question_length: Tensor) -> Any:
            return super().encode(seen, torch.zeros_like(question), torch.ones_like(question_length))

    deaf = check_model(make_captioner(Deaf), image_spec, question=asked.spec)
    assert deaf.ok
    assert "does it use its question?" in str(deaf)


def test_a_gate_without_questions_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(OptionsError, match="the parity gate has to ask some"):
        GateQuestions((), tokenizer, 4).read()
