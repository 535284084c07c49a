"""The exported graphs compute what the model does, and are fit to ship."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from cnnrnn.core.errors import ModelError
from cnnrnn.core.manifest import ImageSpec
from cnnrnn.export import wrap_rnn
from cnnrnn.export.graphs import gather_beams
from cnnrnn.export.onnx_graph import encoder_graph, step_graph
from cnnrnn.export.signature import Signature, trace_signature
from cnnrnn.export.tidy import graph_bytes

Graphs = tuple[onnx.ModelProto, onnx.ModelProto, Signature]


def export(model: Any, spec: ImageSpec) -> Graphs:
    step, signature = step_graph(model, trace_signature(model, spec))
    return encoder_graph(model, signature), step, signature


def run(graph: onnx.ModelProto, feeds: dict[str, Any]) -> dict[str, np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph_bytes(graph), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


@pytest.fixture(scope="module")
def exported(make_captioner: Any, image_spec: ImageSpec) -> Graphs:
    return export(make_captioner(), image_spec)


@torch.no_grad()
def test_beams_are_gathered_row_by_row() -> None:
    state = torch.randn(3, 4, 2, 5)
    parents = torch.randint(4, (3, 4), dtype=torch.int32)
    gathered = gather_beams(state, parents)
    for image in range(3):
        for beam in range(4):
            assert torch.equal(gathered[image, beam], state[image, int(parents[image, beam])])


@pytest.mark.parametrize("images", [1, 3])
@torch.no_grad()
def test_the_encoder_takes_pixels(
    images: int, exported: Graphs, make_captioner: Any, image_spec: ImageSpec
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (images, 16, 16, 3), dtype=np.uint8)
    found = run(exported[0], {"image": pixels})
    unit = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()).double() / 255
    mean, std = (torch.tensor(values).double().view(3, 1, 1) for values in (image_spec.mean, image_spec.std))
    memory = make_captioner().encode(((unit - mean) / std).float())
    np.testing.assert_allclose(found["memory_keys"], memory["keys"], atol=1e-4)
    np.testing.assert_allclose(found["state_h"], torch.tanh(memory["mean"]), atol=1e-4)
    assert "memory_mean" not in found, "no step uses it"


@pytest.mark.parametrize(("images", "beams"), [(1, 1), (2, 3), (3, 5)])
@torch.no_grad()
def test_the_step_takes_any_number_of_images_and_beams(
    images: int, beams: int, exported: Graphs, make_captioner: Any
) -> None:
    random = np.random.default_rng(images)
    state = random.standard_normal((images, beams, 12), np.float32)
    memory = {name: random.standard_normal((images, 16, 12), np.float32) for name in ("keys", "values")}
    tokens = random.integers(0, 12, (images, beams), dtype=np.int32)
    parents = random.integers(0, beams, (images, beams), dtype=np.int32)
    feeds = {f"memory_{name}": array for name, array in memory.items()}
    found = run(exported[1], {"tokens": tokens, "parents": parents, "state_h": state, **feeds})
    own = torch.from_numpy(np.take_along_axis(state, parents[:, :, None], 1))
    given = {name: torch.from_numpy(array) for name, array in memory.items()}
    logits, following, alignment = make_captioner().step(torch.from_numpy(tokens).long(), {"h": own}, given)
    expected = {"logits": logits, "next_state_h": following["h"], "alignment": alignment}
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        np.testing.assert_allclose(found[name], tensor, atol=1e-4, err_msg=name)


def test_nothing_but_uint8_int32_and_float32_crosses_and_the_versions_are_old(exported: Graphs) -> None:
    allowed = {onnx.TensorProto.UINT8, onnx.TensorProto.INT32, onnx.TensorProto.FLOAT}
    for graph in exported[:2]:
        values = [*graph.graph.input, *graph.graph.output]
        assert {value.type.tensor_type.elem_type for value in values} <= allowed
        assert [(entry.domain, entry.version) for entry in graph.opset_import] == [("", 18)]
        assert graph.ir_version == 8
        assert not graph.functions


def test_names_and_shapes_are_the_signatures(exported: Graphs) -> None:
    encoder, step, signature = exported
    pairs = (
        (encoder.graph.input, signature.encoder_inputs()),
        (encoder.graph.output, signature.encoder_outputs()),
        (step.graph.input, signature.step_inputs()),
        (step.graph.output, signature.step_outputs()),
    )
    for values, specs in pairs:
        found = [
            (value.name, tuple(d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim))
            for value in values
        ]
        assert found == [(spec.name, spec.shape) for spec in specs]
    assert [spec.name for spec in signature.step_inputs()] == [
        *("tokens", "parents", "state_h", "memory_keys", "memory_values")
    ]


def test_pixels_are_cast_before_they_are_turned_and_tokens_index_as_they_are(exported: Graphs) -> None:
    first = exported[0].graph.node[0]
    assert (first.op_type, list(first.input)) == ("Cast", ["image"])
    gathers = [node for node in exported[1].graph.node if node.op_type == "Gather"]
    assert [node.input[1] for node in gathers] == ["tokens"]


def test_nodes_are_named_after_their_modules(exported: Graphs) -> None:
    names = [node.name for node in exported[1].graph.node]
    assert len(set(names)) == len(names)
    assert "embedding/Gather" in names
    assert any(name.startswith("output/") for name in names)


def test_the_same_model_gives_the_same_bytes_and_no_path(
    exported: Graphs, make_captioner: Any, image_spec: ImageSpec
) -> None:
    again = export(make_captioner(), image_spec)
    for one, other in zip(exported[:2], again[:2], strict=True):
        data = graph_bytes(one)
        assert data == graph_bytes(other)
        assert b".py" not in data
        assert b"site-packages" not in data


def test_one_tensor_may_be_two_states(image_spec: ImageSpec) -> None:
    trunk = nn.Sequential(nn.Conv2d(3, 10, 16), nn.Flatten())
    model = wrap_rnn(trunk, nn.Embedding(12, 6), nn.LSTM(6, 10), nn.Linear(10, 12))
    encoder, step, _ = export(model, image_spec)
    found = run(encoder, {"image": np.full((2, 16, 16, 3), 99, np.uint8)})
    assert sorted(found) == ["state_c0", "state_h0"]
    np.testing.assert_array_equal(found["state_h0"], found["state_c0"])
    state = np.zeros((1, 2, 10), np.float32)
    feeds = {"parents": np.zeros((1, 2), np.int32), "state_h0": state, "state_c0": state}
    logits = run(step, {"tokens": np.array([[4, 5]], np.int32), **feeds})["logits"]
    assert not np.allclose(logits[0, 0], logits[0, 1]), "tokens and parents are two inputs"


def branch(step: Any, tokens: Tensor, state: Any, memory: Any) -> Any:
    return step(tokens, state, memory) if bool(state["h"].sum() > 0) else step(tokens * 0, state, memory)


def fixed_size(step: Any, tokens: Tensor, state: Any, memory: Any) -> Any:
    logits, *rest = step(tokens, state, memory)
    return logits.reshape(2, 3, 12), *rest


def double(step: Any, tokens: Tensor, state: Any, memory: Any) -> Any:
    logits, *rest = step(tokens, state, memory)
    return logits.double().exp().float(), *rest


def selects(step: Any, tokens: Tensor, state: Any, memory: Any) -> Any:
    logits, *rest = step(tokens, state, memory)
    return logits + torch.nonzero(tokens).sum(), *rest


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (branch, "cannot trace the model's step"),
        (fixed_size, "'logits' of the exported graph has 2 for B"),
        (double, "float64"),
        (selects, "NonZero: a shape that depends on data"),
    ],
)
def test_a_step_that_cannot_be_a_graph_is_explained(
    spoil: Any, words: str, make_captioner: Any, captioner_class: Any, image_spec: ImageSpec
) -> None:
    class Spoiled(captioner_class):  # type: ignore[misc]
        def step(self, tokens: Tensor, state: Any, memory: Any) -> Any:
            return spoil(super().step, tokens, state, memory)

    model = make_captioner(Spoiled)
    with pytest.raises(ModelError, match=words):
        step_graph(model, trace_signature(model, image_spec))


def test_nn_gru_in_a_step_is_refused_by_name(image_spec: ImageSpec) -> None:
    class WithGru(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk = nn.Sequential(nn.Conv2d(3, 8, 16), nn.Flatten())
            self.embedding = nn.Embedding(12, 8)
            self.gru = nn.GRU(8, 8)
            self.output = nn.Linear(8, 12)

        def encode(self, image: Tensor) -> dict[str, Tensor]:
            return {"features": self.trunk(image)}

        def initial_state(self, memory: dict[str, Tensor]) -> dict[str, Tensor]:
            return {"h": memory["features"]}

        def step(self, tokens: Tensor, state: dict[str, Tensor], memory: dict[str, Tensor]) -> Any:
            words = self.embedding(tokens).reshape(1, -1, 8)
            out, h = self.gru(words, state["h"].reshape(1, -1, 8))
            return self.output(out.reshape(*tokens.shape, 8)), {"h": h.reshape(*tokens.shape, 8)}

    model = WithGru().eval()
    with pytest.raises(ModelError, match=r"gru uses GRU: .* \(use wrap_rnn, or nn.GRUCell\)"):
        step_graph(model, trace_signature(model, image_spec))
