"""Rules of a key map: from which tensors of the file, and how, each tensor of the model is made.

A rule's name is a pattern (a regular expression) of the model's names, its value says what becomes of it:

    "encoder.trunk.(.*)"   = 'cnn.\\1'
    "decoder.word_gates.weight" = { from = "lstm.weight_ih_l0", columns = ":256" }
    "decoder.word_gates.bias"   = { sum = ["lstm.bias_ih_l0", "lstm.bias_hh_l0"] }
    "decoder.initial.weight"    = { concat = ["init_h.weight", "init_c.weight"] }
    "decoder.cells.0.recurrent.weight" = { from = "rnn/kernel", transpose = true, gates = "ifgo" }

The first rule that fits counts; a name that no rule fits is the same in the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cnnrnn.core.errors import ConfigError

GATES = {"lstm": "ifgo", "gru": "rzn"}

_JOINS = ("from", "sum", "concat")
_OPTIONS = (*_JOINS, "rows", "columns", "transpose", "gates")
_RANGE = re.compile(r"(\d*):(\d*)")


class ShapeError(ValueError):
    """A rule cannot be applied to tensors of these shapes; becomes a line of a `CheckpointError`."""


@dataclass(frozen=True)
class Rule:
    """How the tensors of one pattern are made.

    Attributes:
        pattern: of the model's names, matched as a whole.
        sources: names in the file, in which ``\\1`` is what the pattern's first group matched.
        join: ``"from"`` (one source), ``"sum"``, or ``"concat"``: one below the other.
        transpose: whether each source has rows for columns.
        rows, columns: the part of each source that is taken; None is all.
        gates: the order in which the file has a cell's gates, from above; empty for the model's.
        own: the order in which the model has them.
    """

    pattern: re.Pattern[str]
    sources: tuple[str, ...]
    join: str = "from"
    transpose: bool = False
    rows: slice | None = None
    columns: slice | None = None
    gates: str = ""
    own: str = ""

    @staticmethod
    def of(name: str, value: Any, cell: str) -> Rule:
        """A rule as TOML has it.

        Args:
            cell: ``"lstm"`` or ``"gru"``, whose gates may be in another order.

        Raises:
            ConfigError: the pattern, an option or a value that cannot be understood.
        """
        try:
            pattern = re.compile(name)
        except re.error as error:
            raise ConfigError(f"keys {name!r} is no regular expression: {error}") from error
        if isinstance(value, str):
            return Rule(pattern, (value,))
        if not isinstance(value, dict):
            raise ConfigError(f"keys {name!r} = {value!r} must be a name in the file, or a table")
        if unknown := sorted(set(value) - set(_OPTIONS)):
            raise ConfigError(f"keys {name!r} has {unknown[0]!r}; there are {', '.join(_OPTIONS)}")
        join, sources = _sources(name, value)
        transpose = value.get("transpose", False)
        if not isinstance(transpose, bool):
            raise ConfigError(f"keys {name!r}: transpose = {transpose!r} must be true or false")
        return Rule(
            pattern,
            sources,
            join,
            transpose,
            _part(name, "rows", value),
            _part(name, "columns", value),
            _gates(name, value, GATES[cell]),
            GATES[cell],
        )

    def names(self, matched: re.Match[str]) -> list[str]:
        """The names in the file for a name that the pattern matched.

        Raises:
            ConfigError: a source names a group that the pattern does not have.
        """
        try:
            return [matched.expand(source) for source in self.sources]
        except (re.error, IndexError) as error:
            raise ConfigError(f"keys {self.pattern.pattern!r}: {self.sources}: {error}") from error

    def make(self, tensors: list[Tensor], shape: tuple[int, ...]) -> Tensor:
        """The tensor that the rule makes of its sources, which has to be of that shape.

        Raises:
            ShapeError: it is of another one, or the sources' shapes do not allow the rule.
        """
        made = self._joined([self._part_of(tensor) for tensor in tensors])
        if tuple(made.shape) != shape:
            raise ShapeError(f"it is {tuple(made.shape)}")
        return made.contiguous()

    def _joined(self, parts: list[Tensor]) -> Tensor:
        shapes = [tuple(part.shape) for part in parts]
        if self.join == "concat":
            if () in shapes or len({shape[1:] for shape in shapes}) > 1:
                raise ShapeError(f"{shapes} cannot stand one below the other")
            joined = torch.cat(parts)
        elif len(set(shapes)) > 1:
            raise ShapeError(f"{shapes} cannot be added")
        else:
            joined = parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)
        if not self.gates:
            return joined
        if joined.dim() == 0 or joined.shape[0] % len(self.gates):
            raise ShapeError(f"{tuple(joined.shape)} has no rows for {len(self.gates)} gates")
        blocks = dict(zip(self.gates, joined.chunk(len(self.gates)), strict=True))
        return torch.cat([blocks[gate] for gate in self.own])

    def _part_of(self, tensor: Tensor) -> Tensor:
        shape = tuple(tensor.shape)
        if self.transpose:
            if tensor.dim() != 2:
                raise ShapeError(f"{shape} has {tensor.dim()} dimensions, and 2 can be transposed")
            tensor = tensor.T
        if self.columns is not None:
            if tensor.dim() < 2:
                raise ShapeError(f"{shape} has no columns")
            tensor = tensor[:, self.columns]
        if self.rows is not None and tensor.dim() == 0:
            raise ShapeError(f"{shape} has no rows")
        return tensor if self.rows is None else tensor[self.rows]


def rules_of(table: Mapping[str, Any], cell: str) -> list[Rule]:
    """The rules of a key map's ``[keys]``, in their order."""
    return [Rule.of(name, value, cell) for name, value in table.items()]


def _sources(name: str, value: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    joins = [join for join in _JOINS if join in value]
    if len(joins) != 1:
        raise ConfigError(
            f"keys {name!r} has {' and '.join(joins) or 'no source'}; exactly one of {', '.join(_JOINS)} is "
            "needed"
        )
    given = value[joins[0]]
    sources = [given] if joins[0] == "from" else given
    if not isinstance(sources, list) or not sources or not all(isinstance(entry, str) for entry in sources):
        kind = "a name" if joins[0] == "from" else "a list of names"
        raise ConfigError(f"keys {name!r}: {joins[0]} = {given!r} must be {kind} in the file")
    return joins[0], tuple(sources)


def _part(name: str, option: str, value: Mapping[str, Any]) -> slice | None:
    if option not in value:
        return None
    text = value[option]
    matched = _RANGE.fullmatch(text) if isinstance(text, str) else None
    if matched is None:
        raise ConfigError(f'keys {name!r}: {option} = {text!r} must be first:end, such as "0:512" or "512:"')
    first, end = (int(part) if part else None for part in matched.groups())
    return slice(first, end)


def _gates(name: str, value: Mapping[str, Any], own: str) -> str:
    order = value.get("gates", "")
    if not isinstance(order, str) or (order and sorted(order) != sorted(own)):
        raise ConfigError(
            f"keys {name!r}: gates = {order!r} must be the letters of {own!r} in the file's order"
        )
    return order
