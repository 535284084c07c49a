"""New weights for an engine: by the interface of every version, since it takes a GPU to do it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from cnnrnn.core.errors import EngineError, MissingDependencyError, OptionsError
from cnnrnn.runtime import refit
from cnnrnn.runtime.engine.device import Device
from cnnrnn.runtime.engine.library import TENSORRT, TENSORRT_RTX, Library
from cnnrnn.runtime.refit import refit_engine, structure
from tests.engine import onnx_graphs
from tests.engine.rigs import recorder as rig
from tests.engine.rigs.recorder import Recorder
from tests.engine.rigs.surface import NAMES, RTX, Surface

GPU = Device("a stand-in", "8.6", "580.82.07", "13.0")
ENGINE = b"the old engine"


def product(weight: float = 1.0, limit: float = 6.0, axis: int = 1, name: str = "m") -> bytes:
    nodes = [
        helper.make_node("MatMul", ["x", name], ["p"], name="decoder.out/MatMul"),
        helper.make_node("Min", ["p", "limit"], ["c"], name="decoder.out/Min"),
        helper.make_node("Unsqueeze", ["c", "axis"], ["y"], name="decoder.out/Unsqueeze"),
    ]
    constants: dict[str, Any] = {
        name: np.full((4, 3), weight, np.float32),
        "limit": np.float32(limit),
        "axis": np.array([axis]),
    }
    return onnx_graphs.model(nodes, [onnx_graphs.X], ("y", TensorProto.FLOAT, None), **constants)


def play(name: str, monkeypatch: pytest.MonkeyPatch, **answers: Any) -> tuple[Recorder, Library]:
    """A version whose runtime may be made, and what it answers where that is not True or nothing."""
    recorder = Recorder(Surface.load(name))
    loaded = recorder.make("ICudaEngine", refittable=answers.get("refittable", True))
    replies: dict[tuple[str, str], Any] = {
        ("Runtime", "deserialize_cuda_engine"): answers.get("loaded", loaded),
        ("OnnxParserRefitter", "refit_from_bytes"): answers.get("parsed", True),
        ("Refitter", "get_missing_weights"): answers.get("missing", []),
        ("Refitter", "refit_cuda_engine"): answers.get("refitted", True),
        ("ICudaEngine", "serialize"): recorder.make("IHostMemory", b"the new engine"),
    }
    for key, reply in replies.items():
        monkeypatch.setitem(rig._CALLED, key, lambda self, reply=reply, **given: reply)
    errors = answers.get("errors", [])
    monkeypatch.setitem(rig._READ, ("OnnxParserRefitter", "num_errors"), lambda self: len(errors))
    monkeypatch.setitem(rig._CALLED, ("ParserError", "desc"), lambda self: errors[0])
    monkeypatch.setattr(recorder.classes["Runtime"], "__init__", lambda self, logger: None)
    monkeypatch.setattr(refit, "find_device", lambda: GPU)
    return recorder, Library(TENSORRT_RTX if name == RTX else TENSORRT, recorder.module, "1.2.3")


@pytest.mark.parametrize("name", NAMES)
def test_the_calls_are_those_of_each_version(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, library = play(name, monkeypatch)
    old, new = product(), product(weight=2.0)
    assert refit_engine(library, ENGINE, old, new) == b"the new engine"
    (loaded,) = recorder.called("deserialize_cuda_engine")
    assert loaded.arguments == {"serialized_engine": ENGINE}
    (given,) = recorder.called("refit_from_bytes")
    assert given.arguments["model"] == new
    assert len(recorder.called("refit_cuda_engine")) == 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("answers", "kind", "words"),
    [
        ({"loaded": None}, EngineError, "refuses the engine: it gave no reason"),
        ({"refittable": False}, OptionsError, "built without refit"),
        ({"parsed": False, "errors": ["no weight m"]}, EngineError, "refuses the new weights: no weight m"),
        ({"missing": ["m"]}, EngineError, "m lack theirs"),
        ({"refitted": False}, EngineError, "refuses the new weights"),
    ],
)
def test_what_is_refused(
    name: str, answers: dict[str, Any], kind: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, library = play(name, monkeypatch, **answers)
    with pytest.raises(kind, match=words):
        refit_engine(library, ENGINE, product(), product(weight=2.0))


@pytest.mark.parametrize(
    "other", [product(limit=5.0), product(axis=0), product(name="n"), onnx_graphs.product()]
)
def test_more_than_weights_is_refused_before_anything_is_loaded(
    other: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, library = play(NAMES[0], monkeypatch)
    with pytest.raises(OptionsError, match="differ in more than their weights"):
        refit_engine(library, ENGINE, product(), other)
    assert not recorder.calls


def test_without_a_gpu_no_runtime_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, library = play(NAMES[0], monkeypatch)
    monkeypatch.setattr(refit, "find_device", lambda: None)
    with pytest.raises(MissingDependencyError, match="no NVIDIA GPU") as raised:
        refit_engine(library, ENGINE, product(), product(weight=2.0))
    assert raised.value.exit_code == 3
    assert not recorder.calls


def test_structure() -> None:
    assert structure(product()) == structure(product(weight=2.0))
    assert structure(product()) != structure(product(limit=5.0))
    with pytest.raises(OptionsError, match="no ONNX graph"):
        structure(b"\xff" * 9)
