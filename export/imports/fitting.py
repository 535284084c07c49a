"""Compare the tensors of a file with those that a model needs, and say all that is wrong in one error.

A needed shape is written as a paper has it: ``("4H", "E+D")``. Its letters get their numbers from the tensors
themselves, each from the first one whose dimension is that letter alone; all others have to agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from torch import Tensor

from cnnrnn.core.errors import CheckpointError

Dimension: TypeAlias = "int | str"
Shape: TypeAlias = "tuple[Dimension, ...]"

_TERM = re.compile(r"(\d*)([A-Z]?)")


@dataclass(frozen=True)
class Source:
    """Where tensors are from, for messages.

    Attributes:
        where: the file.
        advice: what to do where it does not fit.
    """

    where: str
    advice: str


@dataclass(frozen=True)
class Fitted:
    """Tensors whose names and shapes are those needed.

    Attributes:
        tensors: by the name that the model's layout has.
        sizes: what each letter of the shapes stands for.
    """

    tensors: dict[str, Tensor]
    sizes: dict[str, int]

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin so, by the rest of their names."""
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix)
        }


@dataclass
class Misfits:
    """What is wrong, a line for each tensor."""

    missing: list[str] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    def raise_all(self, source: Source) -> None:
        """Raise `CheckpointError` with every line, where there is one."""
        parts = [
            f"{len(lines)} {kind}:\n    " + "\n    ".join(lines)
            for kind, lines in vars(self).items()
            if lines
        ]
        if parts:
            raise CheckpointError(
                f"{source.where} does not have the tensors of this layout. "
                + "\n".join(parts)
                + f"\n{source.advice}"
            )


def fit(
    needed: Mapping[str, Shape],
    given: Mapping[str, Tensor],
    source: Source,
    *,
    optional: Iterable[str] = (),
    ignored: str = "",
) -> Fitted:
    """Find every needed tensor, in its shape, and see that none is left over.

    Args:
        needed: name to shape; of a letter that stands alone in several shapes the first one counts.
        given: the file's.
        source: the file.
        optional: needed names that may be absent.
        ignored: a pattern of given names that may be left over.

    Raises:
        CheckpointError: with all names that are missing, misshapen or unused, and the shapes.
    """
    sizes = _sizes(needed, given)
    misfits = Misfits()
    found: dict[str, Tensor] = {}
    may_lack, hidden = frozenset(optional), sizes.get("H", 0)
    for name, shape in needed.items():
        if name not in given:
            if name not in may_lack:
                misfits.missing.append(f"{name} {written(shape, sizes)}")
        elif not _agrees(shape, given[name], sizes):
            misfits.misshapen.append(
                f"{name} is {tuple(given[name].shape)} and has to be {written(shape, sizes)}"
                + (other_cell(given[name], hidden * 4) if shape[:1] == ("4H",) else "")
            )
        else:
            found[name] = given[name]
    misfits.unused += [
        f"{name} {tuple(tensor.shape)}"
        for name, tensor in given.items()
        if name not in needed and not (ignored and re.fullmatch(ignored, name))
    ]
    misfits.raise_all(source)
    return Fitted(found, sizes)


def written(shape: Shape, sizes: Mapping[str, int]) -> str:
    """A shape for a message: ``(4H, E+D) = (2048, 2560)``, or its letters where those are not known."""
    letters = f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
    numbers = [_value(dimension, sizes) for dimension in shape]
    if None in numbers or all(isinstance(dimension, int) for dimension in shape):
        return letters
    return f"{letters} = {tuple(numbers)}"


def other_cell(tensor: Tensor, rows: int) -> str:
    """What to say where a cell's tensor has as many rows as the other kind of cell has gates."""
    given = tensor.shape[0] if tensor.dim() else 0
    if given and rows and given * 4 == rows * 3:
        return "; 3 rows for 4 are a GRU's, where an LSTM is asked for"
    if given and rows and given * 3 == rows * 4:
        return "; 4 rows for 3 are an LSTM's, where a GRU is asked for"
    return ""


def _sizes(needed: Mapping[str, Shape], given: Mapping[str, Tensor]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for name, shape in needed.items():
        if name in given and given[name].dim() == len(shape):
            for dimension, size in zip(shape, given[name].shape, strict=True):
                if isinstance(dimension, str) and len(dimension) == 1:
                    sizes.setdefault(dimension, size)
    return sizes


def _agrees(shape: Shape, tensor: Tensor, sizes: Mapping[str, int]) -> bool:
    if tensor.dim() != len(shape):
        return False
    wanted = [_value(dimension, sizes) for dimension in shape]
    return all(size in (None, own) for size, own in zip(wanted, tensor.shape, strict=True))


def _value(dimension: Dimension, sizes: Mapping[str, int]) -> int | None:
    """``"2H+E"`` as a number; None where one of its letters is not known."""
    if isinstance(dimension, int):
        return dimension
    total = 0
    for term in dimension.split("+"):
        matched = _TERM.fullmatch(term)
        assert matched is not None, f"{dimension!r} is no dimension"
        factor, letter = matched.groups()
        if letter and letter not in sizes:
            return None
        total += int(factor or 1) * (sizes[letter] if letter else 1)
    return total
