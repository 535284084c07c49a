"""The part of `check_model` that asks what ``step`` depends on: only its arguments, row by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from cnnrnn.export.check_tensors import BEAMS, IMAGES, Findings, Trial
from cnnrnn.export.protocol import Tensors
from cnnrnn.export.signature import repeat_beams

# Products of other shapes add up in another order, so equal work differs by some units in the last place of
# float32 (6e-8) over sums of thousands; a real dependence is thousands of times larger.
_RELATIVE = 1e-4


def check_tokens(trial: Trial, findings: Findings) -> bool:
    """Whether every word that the logits can choose may be fed back."""
    vocabulary = trial.result[0].shape[-1]
    for token in (vocabulary - 1, vocabulary // 2):
        try:
            logits, _, _ = trial.step(torch.full_like(trial.tokens, token), trial.state, trial.memory)
        except Exception as error:  # a user's code may raise anything, and all of it is a finding
            findings.problem(
                f"step gives logits for {vocabulary} words but fails when word {token} is fed back "
                f"({type(error).__name__}: {error}); the embedding must have as many rows as the logits have "
                "columns"
            )
            return False
    if torch.equal(logits, trial.step(torch.zeros_like(trial.tokens), trial.state, trial.memory)[0]):
        findings.note("step gives the same logits whichever word it is fed: does it use its tokens?")
    return True


def check_repeatability(trial: Trial, findings: Findings) -> None:
    """Whether the same call gives the same result: no chance, nothing kept, nothing overwritten."""
    first = _seeded(trial, 0)
    if _differ(_seeded(trial, 0), first):
        findings.problem(
            "step called twice with the same arguments gives two results: it keeps something in the model "
            "between calls; put all that it remembers into the state"
        )
        return
    if _differ(_seeded(trial, 1), first):
        findings.problem(
            "step gives another result with another random seed: dropout is left on or noise is added; call "
            "model.eval(), and use F.dropout only with training=self.training"
        )
        return
    if _differ(_outputs(trial.model.encode(trial.noise.clone())), _outputs(trial.memory)):
        findings.problem(
            "encode called twice with the same image gives two results: something is random or kept in the "
            "model"
        )
        return
    _check_other_image(trial, first, findings)
    _check_arguments_kept(trial, findings)


def _check_other_image(trial: Trial, first: list[Tensor], findings: Findings) -> None:
    """Encoding something else in between must not change what the memory of this image says."""
    other = dict(trial.model.encode(trial.noise.flip(0) * 0.5 + 0.1))
    other_state = repeat_beams(dict(trial.model.initial_state(Trial.copy_of(other))), BEAMS)
    if _differ(_seeded(trial, 0), first):
        findings.problem(
            "step's result changes when another image is encoded in between: encode or initial_state keeps "
            "something in the model (self.features = ...) that step reads; return it in the memory instead"
        )
        return
    trial.step(trial.tokens, other_state, other)
    if _differ(_seeded(trial, 0), first):
        findings.problem(
            "step's result changes after a step for another image: it keeps something in the model between "
            "calls; put all that it remembers into the state"
        )


def _check_arguments_kept(trial: Trial, findings: Findings) -> None:
    state, memory = trial.copy_of(trial.state), trial.copy_of(trial.memory)
    trial.model.step(trial.tokens.clone(), state, memory)
    for kind, given, kept in (("state", state, trial.state), ("memory", memory, trial.memory)):
        for name in kept:
            if name not in given or not torch.equal(given[name], kept[name]):
                findings.problem(
                    f"step changed the {kind} {name!r} it was given; make a new tensor and leave the "
                    "argument as it is"
                )


def check_independence(trial: Trial, findings: Findings) -> None:
    """Whether a beam's result depends on that beam alone, an image's on that image alone, and on no count."""
    _, state, _ = trial.step(trial.tokens, trial.state, trial.memory)
    tokens = trial.tokens.roll(1, 0)
    base = _outputs(*trial.step(tokens, state, trial.memory))
    _check_beams(trial, tokens, state, base, findings)
    _check_images(trial, tokens, state, base, findings)
    _check_counts(trial, tokens, state, base, findings)


def _check_beams(
    trial: Trial, tokens: Tensor, state: Tensors, base: list[Tensor], findings: Findings
) -> None:
    changed = {name: _disturbed(tensor, 1) for name, tensor in state.items()}
    other = tokens.clone()
    other[:, -1] = 1 - other[:, -1]
    result = _try(findings, "step", lambda: trial.step(other, changed, trial.memory))
    if result is not None and _differ([t[:, :-1] for t in _outputs(*result)], [t[:, :-1] for t in base]):
        findings.problem(
            "a beam's result changes when another beam's word or state changes; each beam stands alone, so "
            "nothing may be summed, normalised or gathered over dimension 1"
        )


def _check_images(
    trial: Trial, tokens: Tensor, state: Tensors, base: list[Tensor], findings: Findings
) -> None:
    changed = {name: _disturbed(tensor, 0) for name, tensor in state.items()}
    memory = {name: _disturbed(tensor, 0) for name, tensor in trial.memory.items()}
    result = _try(findings, "step", lambda: trial.step(tokens, changed, memory))
    if result is not None and _differ([t[:-1] for t in _outputs(*result)], [t[:-1] for t in base]):
        findings.problem(
            "an image's result changes when another image of the batch changes; each image stands alone, so "
            "nothing may be summed, normalised or gathered over dimension 0"
        )


def _check_counts(
    trial: Trial, tokens: Tensor, state: Tensors, base: list[Tensor], findings: Findings
) -> None:
    """One image alone, and one beam alone, must give what they gave among others."""
    one_image = _try(findings, "encode, given 1 image,", lambda: _encode_one(trial))
    if one_image is not None and _differ(one_image, _first_rows(trial)):
        findings.problem(
            f"encode or initial_state gives another result for 1 image than for the same one of {IMAGES}: "
            "batch statistics are used, or tensors are mixed over the images"
        )
    alone = {name: tensor[:1, :1] for name, tensor in state.items()}
    memory = {name: tensor[:1] for name, tensor in trial.memory.items()}
    result = _try(
        findings, "step, given 1 image and 1 beam,", lambda: trial.step(tokens[:1, :1], alone, memory)
    )
    if result is not None and _differ(_outputs(*result), [tensor[:1, :1] for tensor in base]):
        findings.problem(
            f"step gives another result for 1 image and 1 beam than for the same among {IMAGES} and {BEAMS}; "
            "sizes must come from the tensors (tokens.shape), not from numbers"
        )


def _encode_one(trial: Trial) -> list[Tensor]:
    memory = dict(trial.model.encode(trial.noise[:1].clone()))
    return _outputs(memory, dict(trial.model.initial_state(Trial.copy_of(memory))))


def _first_rows(trial: Trial) -> list[Tensor]:
    state = {name: tensor[:1, 0] for name, tensor in trial.state.items()}
    return _outputs({name: tensor[:1] for name, tensor in trial.memory.items()}, state)


def _try(findings: Findings, what: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:  # a user's code may raise anything, and all of it is a finding
        findings.problem(f"{what} raised {type(error).__name__}: {error}")
        return None


def _seeded(trial: Trial, seed: int) -> list[Tensor]:
    torch.manual_seed(seed)
    return _outputs(*trial.step(trial.tokens, trial.state, trial.memory))


def _disturbed(tensor: Tensor, dimension: int) -> Tensor:
    """The tensor with its last entry along a dimension changed."""
    changed = tensor.clone()
    last = changed.select(dimension, -1)
    last.copy_(last * 0.5 + 1 if tensor.is_floating_point() else 1 - last)
    return changed


def _outputs(*results: Tensor | Tensors | None) -> list[Tensor]:
    """Every tensor of a call's results, in order of name."""
    found: list[Tensor] = []
    for result in results:
        if isinstance(result, dict):
            found += [result[name] for name in sorted(result)]
        elif result is not None:
            found.append(result)
    return found


def _differ(one: list[Tensor], other: list[Tensor]) -> bool:
    if [tensor.shape for tensor in one] != [tensor.shape for tensor in other]:
        return True
    for a, b in zip(one, other, strict=True):
        if a.numel():
            limit = _RELATIVE * (1 + float(b.abs().max()))
            if not float((a.double() - b.double()).abs().max()) <= limit:
                return True
    return False
