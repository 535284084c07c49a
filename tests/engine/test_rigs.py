"""What the engines' tests stand on: the stand-in library, and skipping that can be forbidden."""

from __future__ import annotations

import ctypes
import platform
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.engine.rigs import bindings
from tests.engine.rigs.compiler import shape_of
from tests.engine.rigs.layers import count_casts
from tests.engine.rigs.stub_library import TENSORRT_FUNCTIONS, write_stub
from tests.engine.rigs.surface import signature_of


@pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"),
    reason="the stand-in is for Linux on x86-64",
)
def test_stand_in_library_loads(tmp_path: Path) -> None:
    wanted = {**TENSORRT_FUNCTIONS, "getNvOnnxParserVersion": 110400}
    library = ctypes.CDLL(str(write_stub(tmp_path / "libstandin.so.1", wanted)))
    assert {name: getattr(library, name)() for name in wanted} == wanted
    with pytest.raises(AttributeError):
        _ = library.createInferBuilder


def test_absence_is_skipped_or_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.delenv(bindings.REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="bindings"):
        bindings.folder("10.3.0")
    monkeypatch.setenv(bindings.REQUIRED, "1")
    with pytest.raises(pytest.fail.Exception, match="CNNRNN_REQUIRE_ENGINES is set"):
        bindings.folder("10.3.0")


def test_the_oldest_and_the_newest_are_pinned() -> None:
    assert bindings.VERSIONS == ("10.3.0", "10.7.0", "10.13.3.9", bindings.BUILDING)


def test_checks_forbid_skipping() -> None:
    script = (bindings.ROOT / ".ci" / "run").read_text()
    assert f"{bindings.REQUIRED}=1" in script


def test_no_test_skips_an_engine_by_itself() -> None:
    """``importorskip`` skips even where the engines are said to be there; `bindings.absent` does not."""
    skipped = re.compile(r"""importorskip\(\s*["']tensorrt""")
    assert skipped.search('pytest.importorskip(\n    "tensorrt_rtx")')
    files = sorted((bindings.ROOT / "tests").rglob("*.py"))
    assert [file.name for file in files if file != Path(__file__) and skipped.search(file.read_text())] == []


def test_signatures() -> None:
    signature = signature_of("(flag: BuilderFlag, index: int = ...) -> bool")
    assert signature.returns == "bool"
    assert list(signature.parameters.parameters) == ["flag", "index"]
    signature.parameters.bind("FP16")
    with pytest.raises(TypeError):
        signature.parameters.bind("FP16", 1, 2)


def test_graphs_are_the_same_but_for_their_weights() -> None:
    base = _graph(np.array([1, 2], np.float32), epsilon=1e-5)
    assert shape_of(base) == shape_of(_graph(np.array([3, 4], np.float32), epsilon=1e-5))
    assert shape_of(base) != shape_of(_graph(np.array([1, 2], np.float16), epsilon=1e-5))
    assert shape_of(base) != shape_of(_graph(np.array([1, 2], np.float32), epsilon=1e-3))
    assert shape_of(base) != shape_of(_graph(np.array([[1, 2]], np.float32), epsilon=1e-5))


def test_casts_inside_nodes_count() -> None:
    cast = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)
    inner = helper.make_graph([cast, cast], "inner", [], [])
    outer = helper.make_graph(
        [cast, helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=inner)], "outer", [], []
    )
    assert count_casts(outer) == 5


def _graph(weight: np.ndarray, epsilon: float) -> bytes:
    values = [
        numpy_helper.from_array(weight, "weight"),
        numpy_helper.from_array(np.array(epsilon, np.float32), "epsilon"),
    ]
    nodes = [helper.make_node("Add", ["x", "weight"], ["y"])]
    graph = helper.make_graph(nodes, "sum", [], [], values)
    return helper.make_model(graph).SerializeToString()
