"""The part of `check_model` that asks what a model makes of questions: to their end, and no further."""

from __future__ import annotations

import torch

from cnnrnn.export.asking import Asked
from cnnrnn.export.check_tensors import IMAGES, Findings
from cnnrnn.export.protocol import Tensors


def check_questions(asked: Asked, size: tuple[int, int], findings: Findings) -> None:
    """Whether what is beyond a question's length is left alone, and whether a question counts at all.

    Args:
        asked: a model with a question for each of `IMAGES` pictures.
        size: (height, width) of a picture.
    """
    noise = torch.randn(IMAGES, 3, *size, generator=torch.Generator().manual_seed(1))
    places = torch.arange(asked.question.shape[1])
    beyond = places >= asked.length.unsqueeze(1)
    filled = torch.where(beyond, asked.question.roll(1, 1).flip(1), asked.question)
    other = torch.where(beyond, asked.question, asked.question.flip(1))
    try:
        memory = asked.encode(noise)
        same, changed = (Asked(asked.model, words, asked.length).encode(noise) for words in (filled, other))
    except Exception as error:  # a user's code may raise anything, and all of it is a finding
        findings.problem(
            f"encode_image and encode, given {IMAGES} images and questions {tuple(asked.question.shape)} "
            f"int64, raised {type(error).__name__}: {error}"
        )
        return
    if not _same(memory, same):
        findings.problem(
            "encode gives another memory when what fills a question up beyond its question_length changes; "
            "mask it (torch.where(place < question_length, new, old) keeps the last state that counts)"
        )
    if asked.question.shape[1] > 1 and _same(memory, changed):
        findings.note("encode gives the same memory whatever is asked: does it use its question?")


def _same(one: Tensors, other: Tensors) -> bool:
    return one.keys() == other.keys() and all(
        one[name].shape == other[name].shape and torch.allclose(one[name], other[name], rtol=1e-4, atol=1e-5)
        for name in one
    )
