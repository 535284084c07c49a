"""`check_model`: what is wrong with a model, before the minutes of an export.

Each problem is one sentence: the value found, what it must be, and what to do. The checks run in the order a
search would meet them, and stop where a later one would only repeat an earlier one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from cnnrnn.core.errors import ModelError, OptionsError
from cnnrnn.core.manifest import ImageSpec, QuestionSpec
from cnnrnn.export.asking import Asked, example_questions
from cnnrnn.export.check_questions import check_questions
from cnnrnn.export.check_step import check_independence, check_repeatability, check_tokens
from cnnrnn.export.check_tensors import (
    BEAMS,
    IMAGES,
    Findings,
    Trial,
    check_state,
    check_step_result,
    check_tensors,
)
from cnnrnn.export.protocol import Tensors
from cnnrnn.export.signature import repeat_beams
from cnnrnn.export.weights import held_modules, named_tensors

_METHODS = ("encode", "initial_state", "step")
_ASKED_METHODS = ("encode_image", *_METHODS)
_LISTED = 4


@dataclass(frozen=True)
class CheckReport:
    """What `check_model` found.

    Attributes:
        problems: one sentence each; the model cannot be exported while there is one.
        notes: what looks odd and may be meant.
    """

    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True where there is no problem."""
        return not self.problems

    def __str__(self) -> str:
        if self.ok and not self.notes:
            return "the model follows the protocol"
        lines = [f"problem {number}: {text}" for number, text in enumerate(self.problems, 1)]
        return "\n".join([*lines, *(f"note: {text}" for text in self.notes)])

    def raise_problems(self) -> None:
        """Raise `ModelError` with every problem, where there is one."""
        if self.problems:
            raise ModelError(f"the model cannot be exported:\n{self}")


def check_model(
    model: Any,
    image: ImageSpec | int | tuple[int, int],
    *,
    vocabulary: int | None = None,
    alignment_grid: tuple[int, int] | None = None,
    question: QuestionSpec | None = None,
) -> CheckReport:
    """Find out whether a model follows `cnnrnn.export.CaptionModel`, by running it on noise.

    Args:
        model: any object with ``encode``, ``initial_state`` and ``step``, on the CPU.
        image: the picture's size: an `ImageSpec`, one side in pixels, or (height, width).
        vocabulary: V of the tokenizer, compared with the logits; None skips that.
        alignment_grid: (rows, columns) that the alignment's P positions are meant to be; None skips that.
        question: how questions are read; the model is then to follow `cnnrnn.export.AnswerModel`.

    Returns:
        The report; a faulty model is reported, never raised.

    Raises:
        OptionsError: ``image`` is no size.
    """
    height, width = _size(image)
    findings = Findings()
    if not _check_methods(model, _METHODS if question is None else _ASKED_METHODS, findings):
        return _report(findings)
    _check_weights(model, findings)
    _check_mode(model, findings)
    random_state = torch.get_rng_state()
    try:
        with torch.no_grad():
            asked = model
            if question is not None:
                asked = Asked(model, *example_questions(question, IMAGES))
                check_questions(asked, (height, width), findings)
            if not findings.problems or question is None:
                _check_calls(asked, (height, width), vocabulary, alignment_grid, findings)
    finally:
        torch.set_rng_state(random_state)
    return _report(findings)


def _check_calls(
    model: Any,
    size: tuple[int, int],
    vocabulary: int | None,
    alignment_grid: tuple[int, int] | None,
    findings: Findings,
) -> None:
    """Encode, start and step once; where that is in order, the finer checks."""
    noise = torch.randn(IMAGES, 3, *size, generator=torch.Generator().manual_seed(1))
    kept = noise.clone()
    memory = _call(
        findings, f"encode, given an image {tuple(noise.shape)} float32,", lambda: model.encode(noise)
    )
    if memory is None or not check_tensors("encode", "memory", memory, findings):
        return
    if not torch.equal(noise, kept):
        findings.problem(
            "encode changed the image it was given; work on a copy (no in-place operation on it)"
        )
    state = _call(findings, "initial_state", lambda: model.initial_state(dict(memory)))
    if state is None or not check_tensors("initial_state", "state", state, findings):
        return
    if not state:
        findings.problem(
            "initial_state returned no tensor: without a state, step cannot know which words came before; "
            "return the recurrent state by name, such as {'h': h}"
        )
        return
    trial = _first_step(model, kept, memory, state, findings)
    if trial is None:
        return
    sound = check_step_result(trial, vocabulary, alignment_grid, findings)
    sound = check_state(trial, findings) and sound
    if sound and check_tokens(trial, findings):
        check_repeatability(trial, findings)
        check_independence(trial, findings)


def _first_step(
    model: Any, noise: torch.Tensor, memory: Tensors, state: Tensors, findings: Findings
) -> Trial | None:
    tokens = torch.arange(IMAGES * BEAMS).reshape(IMAGES, BEAMS) % 2
    beams = repeat_beams(state, BEAMS)
    trial = Trial(model, noise, memory, tokens, beams, ())
    result = _call(
        findings,
        f"step, given tokens {tuple(tokens.shape)} int64 and a state with {BEAMS} beams,",
        lambda: model.step(tokens.clone(), trial.copy_of(beams), trial.copy_of(memory)),
    )
    if result is None:
        return None
    if not isinstance(result, tuple) or len(result) not in (2, 3):
        told = f"{len(result)} values" if isinstance(result, tuple) else f"a {type(result).__name__}"
        findings.problem(
            f"step returned {told}; return (logits, next_state) or (logits, next_state, alignment)"
        )
        return None
    return Trial(model, noise, memory, tokens, beams, result)


def _call(findings: Findings, what: str, call: Callable[[], Any]) -> Any:
    try:
        result = call()
    except Exception as error:  # a user's code may raise anything, and all of it is a finding
        findings.problem(f"{what} raised {type(error).__name__}: {error}")
        return None
    if result is None:
        findings.problem(f"{what} returned None; is a 'return' missing?")
    return result


def _check_methods(model: Any, methods: tuple[str, ...], findings: Findings) -> bool:
    missing = [name for name in methods if not callable(getattr(model, name, None))]
    if missing:
        findings.problem(
            f"{type(model).__name__} has no method {', '.join(missing)}; the protocol is "
            f"{', '.join(methods)} (docs/bring-your-own.md), and wrap_rnn gives them to a plain nn.LSTM or "
            "nn.GRU captioner"
        )
    return not missing


def _check_weights(model: Any, findings: Findings) -> None:
    tensors = named_tensors(model)
    wrong = [f"{name} ({tensor.dtype})" for name, tensor in tensors if _is_other_float(tensor)]
    if wrong:
        findings.problem(f"weights are not float32: {_some(wrong)}; convert the model with .float()")
    elsewhere = [f"{name} ({tensor.device})" for name, tensor in tensors if tensor.device.type != "cpu"]
    if elsewhere:
        findings.problem(f"weights are not on the CPU: {_some(elsewhere)}; move the model with .cpu()")
    broken = [
        name for name, tensor in tensors if tensor.is_floating_point() and not bool(tensor.isfinite().all())
    ]
    if broken:
        findings.problem(
            f"weights are not finite: {_some(broken)}; training diverged, so take an earlier checkpoint"
        )


def _check_mode(model: Any, findings: Findings) -> None:
    roots = [("", model)] if isinstance(model, nn.Module) else held_modules(model)
    training: list[str] = []
    for prefix, root in roots:
        for name, module in root.named_modules(prefix=prefix):
            if module.training and _minds_training(module):
                training.append(f"{name or 'the model'} ({type(module).__name__})")
    if training:
        findings.problem(f"left in training mode: {_some(training)}; call model.eval() before the export")


def _minds_training(module: nn.Module) -> bool:
    """Whether ``training`` changes what this module computes; a module without children may look at it."""
    if isinstance(module, nn.RNNBase):
        return module.dropout > 0
    return "drop" in type(module).__name__.lower() or "norm" in type(module).__name__.lower()


def _is_other_float(tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point() and tensor.dtype != torch.float32


def _size(image: ImageSpec | int | tuple[int, int]) -> tuple[int, int]:
    if isinstance(image, ImageSpec):
        return image.height, image.width
    size = (image, image) if isinstance(image, int) else tuple(image)
    if len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
        raise OptionsError(
            f"image={image!r} is no size; give an ImageSpec, one side in pixels, or (height, width)"
        )
    return size[0], size[1]


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def _report(findings: Findings) -> CheckReport:
    return CheckReport(tuple(findings.problems), tuple(findings.notes))
