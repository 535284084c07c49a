"""One rule at a time: what it makes of tensors, and the shapes that it cannot be applied to."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor

from cnnrnn.export.imports.key_rules import Rule, ShapeError

TALL = torch.arange(24.0).view(8, 3)


def made(value: Any, *tensors: Tensor, cell: str = "lstm") -> Tensor:
    rule = Rule.of("x", value, cell)
    sources = list(tensors)
    return rule._joined([rule._part_of(tensor) for tensor in sources])


def test_parts_sums_and_rows_below_one_another() -> None:
    assert torch.equal(made("a", TALL), TALL)
    assert torch.equal(made({"from": "a", "rows": "2:5", "columns": "1:"}, TALL), TALL[2:5, 1:])
    assert torch.equal(made({"from": "a", "transpose": True, "rows": ":2"}, TALL), TALL.T[:2])
    assert torch.equal(made({"sum": ["a", "b"]}, TALL, TALL), 2 * TALL)
    assert torch.equal(made({"concat": ["a", "b"]}, TALL, TALL[:2]), torch.cat((TALL, TALL[:2])))
    assert torch.equal(made({"concat": ["a", "b"], "rows": ":2"}, TALL, -TALL)[2:], -TALL[:2])


def test_gates_come_in_the_models_order() -> None:
    i, f, g, o = TALL.chunk(4)
    assert torch.equal(made({"from": "a", "gates": "ofig"}, torch.cat((o, f, i, g))), TALL)
    r, z, n = torch.randn(3, 2, 5)
    found = made({"from": "a", "gates": "zrn"}, torch.cat((z, r, n)), cell="gru")
    assert torch.equal(found, torch.cat((r, z, n)))


@pytest.mark.parametrize(
    ("value", "tensors", "words"),
    [
        ("a", [TALL[:2]], "it is (2, 3)"),
        ({"sum": ["a", "b"]}, [TALL, TALL[:2]], "[(8, 3), (2, 3)] cannot be added"),
        ({"concat": ["a", "b"]}, [TALL, TALL.T], "[(8, 3), (3, 8)] cannot stand one below the other"),
        ({"concat": ["a", "b"]}, [TALL[0, 0], TALL[0, 0]], "cannot stand one below the other"),
        ({"from": "a", "transpose": True}, [TALL[0]], "(3,) has 1 dimensions, and 2 can be transposed"),
        ({"from": "a", "columns": ":1"}, [TALL[0]], "(3,) has no columns"),
        ({"from": "a", "rows": ":1"}, [TALL[0, 0]], "() has no rows"),
        ({"from": "a", "gates": "ofig"}, [TALL[:6]], "(6, 3) has no rows for 4 gates"),
    ],
)
def test_shapes_that_a_rule_cannot_take(value: Any, tensors: list[Tensor], words: str) -> None:
    with pytest.raises(ShapeError, match=re.escape(words)):
        Rule.of("x", value, "lstm").make(tensors, (8, 3))
