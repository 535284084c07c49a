"""The part of `check_model` that looks at single tensors: names, shapes, dtypes, values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from cnnrnn.export.protocol import Tensors
from cnnrnn.export.signature import split_step

# Unusual on purpose, so that a dimension that happens to be the number of layers is not taken for the images.
IMAGES = 5
BEAMS = 4

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_DTYPES = (torch.float32, torch.int32)


@dataclass
class Findings:
    """Sentences collected on the way."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def problem(self, sentence: str) -> None:
        self.problems.append(sentence)

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)


@dataclass(frozen=True)
class Trial:
    """One call of ``step``: its arguments, kept apart from the model's hands, and its result."""

    model: Any
    noise: Tensor
    memory: Tensors
    tokens: Tensor
    state: Tensors
    result: tuple[Any, ...]

    @staticmethod
    def copy_of(tensors: Tensors) -> Tensors:
        """The same tensors in other storage, so that a model that writes into its arguments is found out."""
        return {name: tensor.clone() for name, tensor in tensors.items()}

    def step(self, tokens: Tensor, state: Tensors, memory: Tensors) -> tuple[Tensor, Tensors, Tensor | None]:
        """Call the model's ``step`` with copies."""
        return split_step(self.model.step(tokens.clone(), self.copy_of(state), self.copy_of(memory)))


def check_tensors(method: str, kind: str, found: Any, findings: Findings) -> bool:
    """Whether a method's result is a dict of named float32 or int32 tensors, (B, ...) and finite."""
    if not isinstance(found, dict):
        findings.problem(f"{method} returned a {type(found).__name__}; return a dict of tensors by name")
        return False
    before = len(findings.problems)
    for name, tensor in found.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            findings.problem(f"{method} names a {kind} {name!r}; use lower-case letters, digits and _")
        if not isinstance(tensor, Tensor):
            findings.problem(f"{method}: {kind} {name!r} is a {type(tensor).__name__}; it must be a tensor")
            continue
        _check_one(method, kind, str(name), tensor, findings)
    return len(findings.problems) == before


def _check_one(method: str, kind: str, name: str, tensor: Tensor, findings: Findings) -> None:
    shape = tuple(tensor.shape)
    if not shape or shape[0] != IMAGES:
        swapped = " (nn.LSTM's layers come first: swap with .transpose(0, 1))" if IMAGES in shape[1:2] else ""
        findings.problem(
            f"{method}: {kind} {name!r} has shape {shape} for {IMAGES} images; its first dimension must be "
            f"the images{swapped}"
        )
    if tensor.dtype not in _DTYPES:
        findings.problem(
            f"{method}: {kind} {name!r} is {tensor.dtype}; convert it to torch.float32 or torch.int32"
        )
    elif not bool(tensor.isfinite().all()):
        findings.problem(f"{method}: {kind} {name!r} holds NaN or infinity for ordinary noise as an image")


def check_step_result(
    trial: Trial, vocabulary: int | None, alignment_grid: tuple[int, int] | None, findings: Findings
) -> bool:
    """Whether the logits and the alignment have their shapes, dtypes and meaning."""
    before = len(findings.problems)
    logits, _, alignment = split_step(trial.result)
    if _check_row(logits, "logits", "V", findings):
        columns = logits.shape[2]
        if vocabulary is not None and columns != vocabulary:
            findings.problem(
                f"step gives logits for {columns} words and the tokenizer has {vocabulary}; make them equal"
            )
        sums = logits.sum(-1)
        if bool((logits >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
            findings.problem(
                "step returns probabilities (every row sums to 1); return the logits, before softmax"
            )
    if (
        alignment is not None
        and _check_row(alignment, "alignment", "P", findings)
        and alignment_grid is not None
    ):
        rows, columns = alignment_grid
        if alignment.shape[2] != rows * columns:
            findings.problem(
                f"step's alignment has {alignment.shape[2]} positions and alignment_grid is {rows}x{columns} "
                f"= {rows * columns}; give the encoder's true grid"
            )
    return len(findings.problems) == before


def _check_row(tensor: Any, name: str, letter: str, findings: Findings) -> bool:
    """Whether a result is (B, K, something) float32 and finite."""
    if not isinstance(tensor, Tensor):
        findings.problem(f"step's {name} is a {type(tensor).__name__}; it must be a tensor (B, K, {letter})")
        return False
    shape = tuple(tensor.shape)
    if len(shape) != 3 or shape[:2] != (IMAGES, BEAMS):
        findings.problem(
            f"step's {name} has shape {shape} for {IMAGES} images and {BEAMS} beams; it must be (B, K, "
            f"{letter}) = ({IMAGES}, {BEAMS}, {letter})"
        )
        return False
    if tensor.dtype != torch.float32:
        findings.problem(f"step's {name} is {tensor.dtype}; return torch.float32")
        return False
    if not bool(tensor.isfinite().all()):
        findings.problem(f"step's {name} holds NaN or infinity; the search cannot rank it")
        return False
    return True


def check_state(trial: Trial, findings: Findings) -> bool:
    """Whether the next state has the names, shapes and dtypes of the state before: it may not grow."""
    following = trial.result[1]
    if not isinstance(following, dict):
        findings.problem(
            f"step's next state is a {type(following).__name__}; return a dict like the one it was given"
        )
        return False
    before = len(findings.problems)
    missing = sorted(set(trial.state) - set(following))
    extra = sorted(map(str, set(following) - set(trial.state)))
    if missing:
        findings.problem(
            f"step's next state lacks {', '.join(missing)}, which initial_state made; return every name"
        )
    if extra:
        findings.problem(
            f"step's next state has {', '.join(extra)}, which initial_state did not make; give it there too"
        )
    for name in trial.state:
        if name in following:
            _compare_state(name, trial.state[name], following[name], findings)
    return len(findings.problems) == before


def _compare_state(name: str, old: Tensor, new: Any, findings: Findings) -> None:
    if not isinstance(new, Tensor):
        findings.problem(f"step's next state {name!r} is a {type(new).__name__}; it must be a tensor")
        return
    was, now = tuple(old.shape), tuple(new.shape)
    if was != now:
        grows = len(was) == len(now) and all(a <= b for a, b in zip(was, now, strict=True))
        why = (
            "the state grows with every word, and its size must be fixed"
            if grows
            else "they must be the same"
        )
        findings.problem(f"step was given state {name!r} of shape {was} and returned {now}: {why}")
    elif new.dtype != old.dtype:
        findings.problem(
            f"step was given state {name!r} as {old.dtype} and returned {new.dtype}; keep the dtype"
        )
    elif not bool(new.isfinite().all()):
        findings.problem(f"step's next state {name!r} holds NaN or infinity")
