"""fp16 storage changes no value of the graph, and the rounded model is the one that is exported."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from cnnrnn.core.errors import ModelError
from cnnrnn.core.manifest import ImageSpec
from cnnrnn.export.onnx_graph import encoder_graph
from cnnrnn.export.signature import trace_signature
from cnnrnn.export.tidy import graph_bytes
from cnnrnn.export.weights import named_tensors, round_weights, store_fp16


def test_matrices_are_rounded_in_a_copy_and_vectors_are_not(make_captioner: Any) -> None:
    model = make_captioner()
    before = {name: tensor.clone() for name, tensor in named_tensors(model)}
    rounded = dict(named_tensors(round_weights(model)))
    for name, tensor in named_tensors(model):
        assert torch.equal(tensor, before[name]), "the caller's model is left alone"
    matrix, vector = "gates.weight", "gates.bias"
    assert torch.equal(rounded[matrix], before[matrix].half().float())
    assert not torch.equal(rounded[matrix], before[matrix])
    assert torch.equal(rounded[vector], before[vector])


def test_a_weight_beyond_fp16_is_refused_by_name(make_captioner: Any) -> None:
    model = make_captioner()
    with torch.no_grad():
        model.gates.weight[0, 0] = 1e5
    with pytest.raises(ModelError, match=r"'gates.weight' reaches 100000, and fp16 holds at most 65504"):
        round_weights(model)


def test_storing_changes_no_result_and_keeps_batch_norm_apart(
    make_captioner: Any, image_spec: ImageSpec
) -> None:
    model = round_weights(make_captioner())
    graph = encoder_graph(model, trace_signature(model, image_spec), fold_batch_norm=False)
    plain = graph_bytes(graph)
    saved = store_fp16(graph)
    halves = [t for t in graph.graph.initializer if t.data_type == onnx.TensorProto.FLOAT16]
    assert saved == sum(numpy_helper.to_array(tensor).nbytes for tensor in halves)
    assert "model.trunk.0.weight.fp16" in [tensor.name for tensor in halves]
    onnx.checker.check_model(graph, full_check=True)
    feeds = {"image": np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)}
    one, other = (
        onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, feeds)
        for data in (plain, graph_bytes(graph))
    )
    for expected, found in zip(one, other, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_matrix_that_fp16_would_change_stays(make_captioner: Any, image_spec: ImageSpec) -> None:
    model = make_captioner()
    graph = encoder_graph(model, trace_signature(model, image_spec), fold_batch_norm=False)
    assert store_fp16(graph) == 0
    assert all(tensor.data_type != onnx.TensorProto.FLOAT16 for tensor in graph.graph.initializer)
