"""Reading other people's files: tensors in every wrapping, and never anything that would run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cnnrnn.core.errors import CheckpointError, MissingDependencyError, OptionsError
from cnnrnn.export.imports.checkpoint_file import read_tensors
from cnnrnn.export.imports.sgrvinod import SAVE


class Planted:
    """What runs when it is unpickled: it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.path, "it ran")


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).state_dict()


def same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> bool:
    return list(found) == list(wanted) and all(torch.equal(found[name], wanted[name]) for name in found)


@pytest.mark.parametrize("new", [True, False], ids=["zip", "before 1.6"])
def test_tensors_of_a_gpu_are_read_without_one(
    new: bool, state: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cuda.pth"
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        torch.save(state, path, _use_new_zipfile_serialization=new)
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="on a CUDA device"):
            torch.load(path, weights_only=True)
    assert same(read_tensors(path), state)


def test_wrappers_leave_no_trace(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path = tmp_path / "wrapped.pth"
    torch.save({f"module._orig_mod.{name}": value for name, value in state.items()}, path)
    assert same(read_tensors(path), state)
    torch.save(
        {"encoder": {f"module.{name}": value for name, value in state.items()}, "decoder": state}, path
    )
    assert sorted(read_tensors(path)) == sorted(
        f"{part}.{name}" for part in ("encoder", "decoder") for name in state
    )
    own = {"module.weight": torch.ones(1), "head.weight": torch.ones(2)}  # somebody's own part of that name
    torch.save(own, path)
    assert list(read_tensors(path)) == ["module.weight", "head.weight"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_widths_become_float32(dtype: torch.dtype, tmp_path: Path) -> None:
    value = torch.randn(3, 5, dtype=torch.float64).to(dtype)
    torch.save({"weight": value.T, "count": torch.tensor(7), "epoch": 3, "name": "x"}, tmp_path / "half.pth")
    found = read_tensors(tmp_path / "half.pth")
    assert list(found) == ["weight", "count"]
    assert torch.equal(found["weight"], value.T.float())
    assert found["weight"].is_contiguous()
    assert found["count"].dtype == torch.int64


@pytest.mark.parametrize("new", [True, False], ids=["zip", "before 1.6"])
def test_pickled_objects_are_named_and_never_run(new: bool, tmp_path: Path) -> None:
    path, trace = tmp_path / "BEST.pth.tar", tmp_path / "trace"
    content = {"encoder": nn.Linear(2, 2), "bleu-4": Planted(trace)}
    torch.save(content, path, _use_new_zipfile_serialization=new)
    with pytest.raises(CheckpointError) as caught:
        read_tensors(path, SAVE)
    assert not trace.exists()
    message = str(caught.value)
    assert "holds pickled objects, which would run code when they are read: " in message
    assert "torch.nn.modules.linear.Linear" in message
    assert ("pathlib.Path" in message) == new, "of the old format only the first is known"

    # The three lines, as they stand there, make a file that is read.
    content["decoder"] = nn.Linear(2, 3)
    content.pop("bleu-4")
    torch.save(content, path, _use_new_zipfile_serialization=new)
    lines = [line.strip() for line in message.splitlines()[-3:]]
    assert lines[0] == "import torch"
    assert "BEST.pth.tar" in lines[1]
    program = "\n".join(lines).replace("'state.pt'", repr(str(tmp_path / "state.pt")))
    program = program.replace("'BEST.pth.tar'", repr(str(path)))
    exec(program, {})
    found = read_tensors(tmp_path / "state.pt")
    assert sorted(found) == ["decoder.bias", "decoder.weight", "encoder.bias", "encoder.weight"]


@pytest.mark.parametrize("new", [True, False], ids=["zip", "before 1.6"])
def test_a_file_that_is_cut_short(new: bool, state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path = tmp_path / "cut.pth"
    torch.save({**state, "large": torch.zeros(4000)}, path, _use_new_zipfile_serialization=new)
    data = path.read_bytes()
    for kept in (0, 1, 20, len(data) // 2, len(data) - 9):
        path.write_bytes(data[:kept])
        with pytest.raises(CheckpointError, match=r"cut\.pth is .*copy it again"):
            read_tensors(path)


def test_what_is_no_state_dict(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"

    def refused(content: Any, words: str) -> None:
        torch.save(content, path)
        with pytest.raises(CheckpointError, match=words):
            read_tensors(path)

    refused([torch.zeros(2)], "holds a list; give a state dict")
    refused({"epoch": 3}, "holds no tensors")
    refused({"w": torch.zeros(2, 2).to_sparse()}, r"w is a .* of layout torch.sparse_coo")
    with pytest.raises(OptionsError, match=r"there is no file .*nowhere"):
        read_tensors(tmp_path / "nowhere")
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), path)
    with pytest.raises(CheckpointError, match="is a TorchScript program"):
        read_tensors(path)


def test_safetensors(state: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = pytest.importorskip("safetensors.torch")
    path = tmp_path / "model.bin"  # what it is, its content says
    library.save_file({f"module.{name}": value for name, value in state.items()}, path)
    found = read_tensors(path)
    assert sorted(found) == sorted(state)
    assert all(torch.equal(found[name], state[name]) for name in state)
    data = path.read_bytes()
    path.write_bytes(data[:-4])
    with pytest.raises(CheckpointError, match=r"model\.bin is cut short or damaged"):
        read_tensors(path)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(MissingDependencyError, match="pip install safetensors"):
        read_tensors(path)
