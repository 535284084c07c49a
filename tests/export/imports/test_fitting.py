"""Names and shapes: what fits gives the sizes, and all that does not is said at once."""

from __future__ import annotations

import pytest
import torch

from cnnrnn.core.errors import CheckpointError
from cnnrnn.export.imports.fitting import Shape, Source, fit, other_cell, written

NEEDED: dict[str, Shape] = {
    "table": ("V", "E"),
    "hidden": ("4H", "H"),
    "entering": ("4H", "2H+E"),
    "score": (1, "A"),
    "count": (),
}


def tensors(**changes: tuple[int, ...] | None) -> dict[str, torch.Tensor]:
    shapes: dict[str, tuple[int, ...] | None] = {
        "table": (9, 3),
        "hidden": (8, 2),
        "entering": (8, 7),
        "score": (1, 5),
        "count": (),
        **changes,
    }
    return {name: torch.zeros(shape) for name, shape in shapes.items() if shape is not None}


def refusal(**changes: tuple[int, ...] | None) -> str:
    with pytest.raises(CheckpointError) as caught:
        fit(NEEDED, tensors(**changes), Source("x.pth", "Do this."), ignored="optimizer.*")
    return str(caught.value)


def test_letters_get_their_numbers() -> None:
    fitted = fit(NEEDED, tensors(optimizer=(3,)), Source("", ""), ignored="optimizer.*")
    assert fitted.sizes == {"V": 9, "E": 3, "H": 2, "A": 5}
    assert list(fitted.tensors) == list(NEEDED)
    assert fit(NEEDED, tensors(count=None), Source("", ""), optional=["count"]).sizes["A"] == 5


def test_everything_is_named_with_its_shape() -> None:
    text = refusal(table=None, entering=(8, 8), score=(2, 5), other=(4, 4), count=(1,))
    assert text.startswith("x.pth does not have the tensors of this layout. ")
    assert "1 missing:\n    table (V, E)\n" in text
    misshapen = text.partition("2 misshapen:\n    ")[2].partition("\n1 unused")[0].split("\n    ")
    assert misshapen == [
        "score is (2, 5) and has to be (1, A) = (1, 5)",
        "count is (1,) and has to be ()",
    ], "what depends on a tensor that is missing is not judged"
    assert "1 unused:\n    other (4, 4)\n" in text
    assert text.endswith("\nDo this.")
    assert "entering is (8, 8) and has to be (4H, 2H+E) = (8, 7)" in refusal(entering=(8, 8))
    assert "hidden is (9, 2) and has to be (4H, H) = (8, 2)" in refusal(hidden=(9, 2))


def test_the_other_kind_of_cell_is_recognised_by_its_rows() -> None:
    assert "(4H, H) = (8, 2); 3 rows for 4 are a GRU's, where an LSTM is asked for" in refusal(hidden=(6, 2))
    assert "rows for" not in refusal(table=None, hidden=(8, 3))
    assert other_cell(torch.zeros(8), 6) == "; 4 rows for 3 are an LSTM's, where a GRU is asked for"
    assert not other_cell(torch.zeros(()), 6)


def test_a_shape_is_written_for_people() -> None:
    assert written(("4H", "E"), {"H": 2}) == "(4H, E)"
    assert written((3,), {}) == "(3,)"
    assert written(("H",), {"H": 2}) == "(H,) = (2,)"
