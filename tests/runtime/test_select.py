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

# Taken by ONNX Runtime 1.16 and newer, TensorRT 10.3 and newer and TensorRT for RTX, for these dtypes.
OPERATORS = {
    "Add", "And", "Cast", "Concat", "CumSum", "Div", "Equal", "Exp", "Gather", "GatherElements", "GatherND",
    "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Log", "Max", "Min", "Mul", "Neg", "Not", "Or", "Pow",
    "ReduceMax", "ReduceMin", "ReduceSum", "Reshape", "ScatterElements", "Shape", "Slice", "Squeeze", "Sub",
    "TopK", "Unsqueeze", "Where",
}  # fmt: skip


ALL = {"repetition": True, "ngram": 3, "suppress": True, "bans": True, "prefix": True, "trie": True}
KINDS = [
    *(SelectKind(beams) for beams in (1, 5, 32)),
    SelectKind(4, end_count=3),
    SelectKind(1, repetition=True),
    *(SelectKind(3, **{name: value}) for name, value in ALL.items()),
    *(SelectKind(3, ngram=n) for n in (1, 2, 4)),
    SelectKind(3, coverage=True),
    SelectKind(6, groups=3),
    *(SelectKind(3, sampling=True, top_k=k, nucleus=nucleus) for k in (0, 9) for nucleus in (False, True)),
    SelectKind(6, groups=2, coverage=True, **ALL),
    SelectKind(4, sampling=True, top_k=9, nucleus=True, coverage=True, **ALL),
]
names = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.name}-e{kind.end_count}")


@names
def test_operators_opset_and_size(kind):
    data = make_select(kind)
    graph = onnx.load_from_string(data)
    assert {node.op_type for node in graph.graph.node} <= OPERATORS
    assert [(entry.domain, entry.version) for entry in graph.opset_import] == [("", 17)]
    assert graph.ir_version == 8
    assert len(data) < 45_000


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
    assert len({kind.name for kind in KINDS}) == len(KINDS)


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
        "finished_beams": np.zeros((batch, beams), np.int32),
        "finished_steps": np.zeros((batch, beams), np.int32),
        "finished_tokens": np.zeros((batch, beams), np.int32),
        "done": np.zeros(batch, np.int32),
        "faults": np.zeros(batch, np.int32),
        "step": np.zeros(1, np.int32),
        "max_length": np.full(batch, 9, np.int32),
        "min_length": np.zeros(1, np.int32),
        "length_penalty": np.ones(1, np.float32),
        "length_offset": np.zeros(1, np.float32),
        "early_stopping": np.zeros(1, np.int32),
        "end_tokens": np.full(1, 2, np.int32),
        **changed,
    }


def run(beams: int, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(make_select(SelectKind(beams)), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def test_each_image_has_its_own_maximum_length():
    found = run(2, inputs(3, 2, 30, max_length=np.array([1, 9, 1], np.int32)))
    assert found["next_done"].tolist() == [1, 0, 1]
    assert found["all_done"].tolist() == [0]
    assert found["next_finished_steps"][:, 0].tolist()[::2] == [1, 1]
    everyone = run(2, inputs(3, 2, 30, max_length=np.array([1, 1, 1], np.int32)))
    assert everyone["all_done"].tolist() == [1]


def test_an_image_that_is_done_keeps_its_pool():
    logits = np.full((2, 2, 30), -5, np.float32)
    logits[:, :, 2] = 5  # everyone wants to end
    feeds = inputs(2, 2, 30, logits=logits, done=np.array([1, 0], np.int32))
    found = run(2, feeds)
    assert found["next_finished_steps"].tolist() == [[0, 0], [1, 0]]
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
