"""The backend ``ort-cpu`` against bundles whose graphs are not what the manifest says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest

from cnnrnn.core.bundle import write_bundle
from cnnrnn.core.errors import BackendError, BundleError, MissingDependencyError, NotFiniteError
from cnnrnn.core.manifest import GraphSpec, TensorSpec
from cnnrnn.runtime import graphs, ort_cpu
from cnnrnn.runtime.graphs import Graphs
from cnnrnn.runtime.loading import load
from cnnrnn.runtime.ort_cpu import OrtCpuBackend
from tests.runtime import tiny_bundle


def load_changed(tmp_path, **changed):
    """Load the tiny bundle with another encoder or step in its manifest."""
    pair = {"encoder": tiny_bundle.ENCODER, "step": tiny_bundle.STEP, **changed}
    manifest = replace(tiny_bundle.manifest(), precisions={"fp32": pair})
    write_bundle(tmp_path / "changed", manifest, tiny_bundle.files())
    return load(tmp_path / "changed", threads=1)


def with_step(folder, step: bytes):
    files = {**tiny_bundle.files(), tiny_bundle.STEP.file: step}
    return write_bundle(folder, tiny_bundle.manifest(), files).folder


def with_tensor(graph: GraphSpec, role: str, tensor: TensorSpec) -> GraphSpec:
    kept = tuple(tensor if old.name == tensor.name else old for old in getattr(graph, role))
    return replace(graph, **{role: kept})


@pytest.mark.parametrize(
    ("graph", "role", "tensor", "words"),
    [
        (
            "encoder",
            "inputs",
            TensorSpec("image", "uint8", ("B", 16, 32, 3)),
            r"uint8 \['B', 16, 32, 3\]; uint8",
        ),
        ("encoder", "inputs", TensorSpec("image", "float32", ("B", 32, 32, 3)), "'image' is float32"),
        (
            "encoder",
            "outputs",
            TensorSpec("state_hidden", "float32", ("B", 13)),
            r"'state_hidden' is float32.*13",
        ),
        ("encoder", "outputs", TensorSpec("state_hidden", "float32", (1, 12)), "'state_hidden' is float32"),
        ("encoder", "outputs", TensorSpec("state_hidden", "float16", ("B", 12)), "'state_hidden'"),
        ("step", "inputs", TensorSpec("tokens", "int64", ("B", "K")), "'tokens' is int64"),
        ("step", "outputs", TensorSpec("logits", "float32", ("B", "K", 99)), r"\[any, any, 24\] is needed"),
        ("step", "outputs", TensorSpec("alignment", "float32", ("B", "K", 17)), "17 positions.*4 x 4"),
        ("step", "outputs", TensorSpec("alignment", "float32", ("B", 16)), "'alignment' is float32"),
    ],
)
def test_a_tensor_that_does_not_match_the_manifest(tmp_path, graph, role, tensor, words):
    spec = {"encoder": tiny_bundle.ENCODER, "step": tiny_bundle.STEP}[graph]
    with pytest.raises(BundleError, match=words):
        load_changed(tmp_path, **{graph: with_tensor(spec, role, tensor)})


def test_a_tensor_that_the_graph_does_not_have(tmp_path):
    more = replace(tiny_bundle.STEP, outputs=(*tiny_bundle.STEP.outputs, TensorSpec("more", "int32", ("B",))))
    with pytest.raises(BundleError, match=r"the manifest says .*more"):
        load_changed(tmp_path, step=more)
    no_next = replace(tiny_bundle.STEP, outputs=tiny_bundle.STEP.outputs[:1])
    with pytest.raises(BundleError, match="no output 'next_state_hidden'"):
        load_changed(tmp_path, step=no_next)
    stranger = replace(
        tiny_bundle.STEP, inputs=(*tiny_bundle.STEP.inputs, TensorSpec("memory_x", "float32", ("B",)))
    )
    with pytest.raises(BundleError, match=r"'memory_x'.* is not an output of fp32/encoder\.onnx"):
        load_changed(tmp_path, step=stranger)


def test_a_select_graph_of_another_version(tmp_path):
    manifest = tiny_bundle.manifest()
    old = with_tensor(manifest.select["beam3"], "inputs", TensorSpec("done", "int64", ("B",)))
    write_bundle(tmp_path / "old", replace(manifest, select={"beam3": old}), tiny_bundle.files())
    with (
        load(tmp_path / "old", threads=1) as model,
        pytest.raises(BundleError, match=r"beam3\.onnx: its tensors"),
    ):
        model(np.zeros((4, 4, 3), np.uint8))


def test_a_graph_that_is_none(tmp_path):
    with pytest.raises(BundleError, match=r"fp32/step\.onnx is not a readable ONNX graph"):
        load(with_step(tmp_path / "bad", b"no graph"), threads=1)


def test_a_graph_that_onnx_runtime_cannot_load(tmp_path):
    of_no_operator = tiny_bundle.files()[tiny_bundle.STEP.file].replace(b"Gather", b"Gethar")
    with pytest.raises(BackendError, match=r"cannot load fp32/step\.onnx"):
        load(with_step(tmp_path / "bad", of_no_operator), threads=1)


def test_a_graph_that_fails_while_running():
    backend = OrtCpuBackend(
        Graphs(tiny_bundle.manifest(), "fp32", tiny_bundle.files().__getitem__), threads=1
    )
    with pytest.raises(BackendError, match=r"failed in fp32/encoder\.onnx"):
        backend.encode(np.zeros((1, 5, 5, 3), np.uint8))


def test_a_width_that_the_bundle_does_not_carry_is_made(written_bundle, monkeypatch, pictures):
    with load(written_bundle, threads=1) as model:
        assert "beam4" not in model.manifest.select
        assert len(model(pictures[0], beams=4).hypotheses) == 4

    def absent(*_, **__):
        raise MissingDependencyError("onnx is not installed", name="onnx")

    monkeypatch.setattr(graphs, "make_select", absent)
    with load(written_bundle, threads=1) as model:
        assert model(pictures[0], beams=5).text
        with pytest.raises(
            MissingDependencyError, match=r"3 graphs of the search, beam2 not among them.*pip install onnx"
        ):
            model(pictures[0], beams=2)


def test_numbers_that_are_not_finite_are_an_error(tmp_path, pictures):
    graph = onnx.load_from_string(tiny_bundle.step())
    for tensor in graph.graph.initializer:
        if list(tensor.dims) == [24]:
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.full(24, np.nan, np.float32), tensor.name))
    files = {**tiny_bundle.files(), tiny_bundle.STEP.file: graph.SerializeToString()}
    write_bundle(tmp_path / "nan", tiny_bundle.manifest(), files)
    with (
        load(tmp_path / "nan", threads=1) as model,
        pytest.raises(NotFiniteError, match=r"the picture got no caption.*not finite in step 1, in ort-cpu"),
    ):
        model(pictures[0])
    with load(tmp_path / "nan", threads=1) as model:
        answers = model(pictures[:2], errors="return")
        assert [type(answer) for answer in answers] == [NotFiniteError] * 2
        assert "picture 2 of 2" in str(answers[1])


def poisoned(monkeypatch, row: int, step: int) -> None:
    """One picture's logits are NaN in one step of each search."""
    whole, counts = OrtCpuBackend.step, {}

    def spoil(self, tokens, parents, state, memory):
        made = whole(self, tokens, parents, state, memory)
        counts[id(memory)] = counts.get(id(memory), 0) + 1
        if len(tokens) > row and counts[id(memory)] == step:
            logits = np.array(made.logits.numpy())
            logits[row, :, 7] = np.nan
            return replace(made, logits=self._ort.OrtValue.ortvalue_from_numpy(logits))
        return made

    monkeypatch.setattr(OrtCpuBackend, "step", spoil)


def test_one_picture_without_numbers_is_named_and_the_others_are_right(written_bundle, pictures, monkeypatch):
    with load(written_bundle, threads=1) as model:
        alone = [model(picture) for picture in pictures[:3]]
        poisoned(monkeypatch, row=1, step=2)
        first, broken, last = model(pictures[:3], errors="return")
        assert isinstance(broken, NotFiniteError)
        assert str(broken) == (
            "picture 2 of 3 got no caption: the decoder's logits are not finite in step 2, in ort-cpu fp32; "
            "the model itself makes them: train or export it again"
        )
        assert [first.tokens, last.tokens] == [alone[0].tokens, alone[2].tokens]
        with pytest.raises(NotFiniteError, match="picture 2 of 3"):
            model(pictures[:3])
        monkeypatch.setattr(model._backend, "precision", "fp16")
        _, broken, _ = model(pictures[:3], errors="return")
        assert str(broken).endswith("in step 2, in ort-cpu fp16; try precision='fp32'")


def test_select_graphs_that_were_not_used_for_long_are_let_go(written_bundle, pictures, monkeypatch):
    monkeypatch.setattr(ort_cpu, "MAX_SELECTS", 2)
    with load(written_bundle, threads=1) as model:
        for beams in (1, 3, 1, 5):
            assert model(pictures[0], beams=beams).text
        backend: Any = model._backend
        assert [kind.beams for kind in backend._selects] == [1, 5]
        assert model(pictures[0], beams=3).text


def test_graphs_need_no_bundle():
    files = tiny_bundle.files()
    backend = OrtCpuBackend(Graphs(tiny_bundle.manifest(), "fp32", files.__getitem__), threads=1)
    encoded = backend.encode(np.zeros((2, 32, 32, 3), np.uint8))
    assert backend.to_host(encoded.memory["features"]).shape == (2, 16, 6)
    assert backend.to_host(backend.widen(encoded.state, 3)["hidden"]).shape == (2, 3, 12)
