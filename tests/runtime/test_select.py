"""The select graph as a file: what it may be made of, and that its tensors are those it says."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from cnnrnn.core.errors import OptionsError
from cnnrnn.core.search import SearchOptions
from cnnrnn.runtime.graph_check import check_tensors
from cnnrnn.runtime.select import DEAD, EMPTY, SelectKind, make_select, select_spec
from tests.runtime.select_kinds import every_kind, named

# Taken by ONNX Runtime 1.16 and newer, TensorRT 10.3 and newer and TensorRT for RTX, for these dtypes.
OPERATORS = {
    "Add", "And", "Cast", "Concat", "CumSum", "Div", "Equal", "Exp", "Gather", "GatherElements", "GatherND",
    "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Log", "Max", "Min", "Mul", "Neg", "Not", "Or",
    "ReduceMax", "ReduceMin", "ReduceSum", "Reshape", "ScatterElements", "Shape", "Slice", "Softmax",
    "Squeeze", "Sub", "TopK", "Unsqueeze", "Where",
}  # fmt: skip


KINDS = every_kind()
names = pytest.mark.parametrize("kind", KINDS, ids=named)

# Operators that make int64 of something, and those whose other inputs have to be constants.
INT64 = {"TopK", "Gather", "GatherElements", "Cast", "Unsqueeze", "Shape"}
FIXED = {"TopK", "Slice", "Squeeze", "Unsqueeze", "ReduceSum", "CumSum"}


@names
def test_operators_opset_and_size(kind):
    data = make_select(kind)
    graph = onnx.load_from_string(data)
    assert {node.op_type for node in graph.graph.node} <= OPERATORS
    assert [(entry.domain, entry.version) for entry in graph.opset_import] == [("", 17)]
    assert graph.ir_version == 8
    assert len(data) < (24_000 if kind.groups < 3 else 50_000)


@names
def test_ranks_are_static_and_integers_int32_but_for_places(kind):
    """Places are what TopK makes and GatherND takes. No shape depends on a value."""
    model = onnx.load_from_string(make_select(kind))
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    types = {tensor.name: tensor.type.tensor_type for tensor in inferred.graph.value_info}
    types |= {tensor.name: tensor.type.tensor_type for tensor in inferred.graph.output}
    constants = {tensor.name for tensor in model.graph.initializer}
    shapes = {node.output[0] for node in model.graph.node if node.op_type == "Shape"}
    for node in model.graph.node:
        for output in node.output:
            assert types[output].HasField("shape"), node.op_type
            kinds = (onnx.TensorProto.FLOAT, onnx.TensorProto.INT32, onnx.TensorProto.BOOL)
            assert types[output].elem_type in kinds or node.op_type in INT64, node.op_type
        if node.op_type in FIXED:
            assert set(node.input[1:]) <= constants, node.op_type
        if node.op_type == "Reshape":
            assert node.input[1] in constants | shapes


@names
def test_its_tensors_are_those_of_the_specification(kind):
    session = ort.InferenceSession(make_select(kind), providers=["CPUExecutionProvider"])
    spec = select_spec("select.onnx", kind)
    check_tensors(spec, session.get_inputs(), session.get_outputs())
    integers = {tensor.dtype for tensor in (*spec.inputs, *spec.outputs)}
    assert integers == {"int32", "float32"}


def test_what_is_off_costs_nothing():
    plain = {tensor.name for tensor in select_spec("", SelectKind(5)).inputs}
    assert SelectKind.of(SearchOptions(5, 9, length_penalty_type="gnmt", min_length=3)) == SelectKind(5)
    assert not plain & {"history", "coverage", "nodes", "uniforms", "prefix", "group_done", "suppressed"}
    assert len({(kind.name, kind.end_count) for kind in KINDS}) == len(KINDS)


def test_what_cannot_be_made_is_refused():
    for beams in (0, 33):
        with pytest.raises(OptionsError, match=f"beams={beams} is outside 1 to 32"):
            SelectKind(beams)
    with pytest.raises(OptionsError, match="2 end tokens in a vocabulary of 2"):
        SelectKind(1, end_count=2, vocabulary=2)
    with pytest.raises(OptionsError, match="groups=2 does not divide beams=5"):
        SelectKind(5, groups=2)


def inputs(batch: int, beams: int, vocabulary: int, **changed: np.ndarray) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    scores = np.full((batch, beams), DEAD, np.float32)
    scores[:, 0] = 0
    return {
        "logits": random.normal(size=(batch, beams, vocabulary)).astype(np.float32),
        "scores": scores,
        "finished_scores": np.full((batch, beams), EMPTY, np.float32),
        "finished_logprobs": np.zeros((batch, beams), np.float32),
        "finished": np.zeros((batch, 3 * beams), np.int32),
        "done": np.zeros((batch, 1), np.int32),
        "step": np.zeros(1, np.int32),
        "max_length": np.full((batch, 1), 9, np.int32),
        "min_length": np.zeros(1, np.int32),
        "divisors": np.arange(1025, dtype=np.float32),
        "reach": np.zeros((batch, 1), np.int32),
        "ceiling": np.full(1, 1e38, np.float32),
        "end_tokens": np.full(1, 2, np.int32),
        **changed,
    }


def run(beams: int, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(make_select(SelectKind(beams)), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def test_each_image_has_its_own_maximum_length():
    found = run(2, inputs(3, 2, 30, max_length=np.array([[1], [9], [1]], np.int32)))
    assert found["next_done"].tolist() == [[1], [0], [1]]
    assert found["all_done"].tolist() == [0]
    assert found["next_finished"].reshape(3, 2, 3)[::2, 0, 1].tolist() == [1, 1]
    everyone = run(2, inputs(3, 2, 30, max_length=np.array([[1], [1], [1]], np.int32)))
    assert everyone["all_done"].tolist() == [1]


def test_an_image_that_is_done_keeps_its_pool():
    logits = np.full((2, 2, 30), -5, np.float32)
    logits[:, :, 2] = 5  # everyone wants to end
    feeds = inputs(2, 2, 30, logits=logits, done=np.array([[1], [0]], np.int32))
    found = run(2, feeds)
    assert found["next_finished"].reshape(2, 2, 3)[:, :, 1].tolist() == [[0, 0], [1, 0]]
    assert found["next_finished_scores"][0].tolist() == feeds["finished_scores"][0].tolist()
    assert found["next_done"][0] == 1


def test_large_logits_do_not_overflow():
    logits = np.zeros((1, 2, 30), np.float32)
    logits[0, :, 7] = 3e4
    found = run(2, inputs(1, 2, 30, logits=logits))
    assert found["tokens"][0, 0] == 7
    assert found["next_scores"][0, 0] == pytest.approx(0, abs=1e-6)


def test_equal_logits_go_to_the_lowest_token():
    found = run(3, inputs(1, 3, 30, logits=np.zeros((1, 3, 30), np.float32)))
    assert found["tokens"].tolist() == [[0, 1, 3]], "token 2 ends"
    assert found["parents"].tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("beams", [3, 7, 32])
def test_ties_between_beams_go_to_the_lowest_token_then_the_lowest_beam(beams):
    """Few different numbers, so that ties are everywhere, at the edge of what is kept too."""
    random = np.random.default_rng(beams)
    logits = random.integers(0, 3, (2, beams, 96)).astype(np.float32)
    logits[:, :, 2] = -50.0  # nobody ends
    shared = np.repeat(logits[:, :1], beams, axis=1)  # beams that are all alike
    scores = np.zeros((2, beams), np.float32)
    found = run(beams, inputs(2, beams, 96, logits=shared, scores=scores))
    for image in range(2):
        order = sorted(
            (-float(shared[image, beam, token]), token, beam) for beam in range(beams) for token in range(96)
        )
        wanted = [(token, beam) for _, token, beam in order[:beams]]
        got = list(zip(found["tokens"][image].tolist(), found["parents"][image].tolist(), strict=True))
        assert got == wanted
