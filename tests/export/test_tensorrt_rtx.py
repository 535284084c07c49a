"""TensorRT for RTX parses and builds the exported graphs without a GPU."""

from __future__ import annotations

from typing import Any

import onnx
import pytest

from cnnrnn.core.manifest import ImageSpec
from cnnrnn.export.onnx_graph import encoder_graph, step_graph
from cnnrnn.export.signature import trace_signature
from cnnrnn.export.tidy import graph_bytes
from cnnrnn.export.weights import round_weights, store_fp16
from cnnrnn.runtime.engine.library import TENSORRT_RTX, load_library
from tests.engine.rigs import bindings


@pytest.fixture(scope="module")
def tensorrt() -> Any:
    bindings.rtx_libraries()
    return load_library(TENSORRT_RTX).module


def build(tensorrt: Any, graph: onnx.ModelProto, images: int, beams: int) -> Any:
    logger = tensorrt.Logger(tensorrt.Logger.WARNING)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = tensorrt.OnnxParser(network, logger)
    parsed = parser.parse(graph_bytes(graph))
    assert parsed, [parser.get_error(index).desc() for index in range(parser.num_errors)]
    profile = builder.create_optimization_profile()
    for tensor in (network.get_input(index) for index in range(network.num_inputs)):
        sizes = (images, beams)
        shape = [sizes[place] if size == -1 else size for place, size in enumerate(tensor.shape)]
        profile.set_shape(tensor.name, shape, shape, shape)
    config = builder.create_builder_config()
    config.add_optimization_profile(profile)
    return builder.build_serialized_network(network, config)


@pytest.mark.slow
@pytest.mark.parametrize("halved", [False, True], ids=["fp32", "fp16 storage"])
@pytest.mark.parametrize(("images", "beams"), [(1, 1), (4, 5)])
def test_both_graphs_build(
    halved: bool, images: int, beams: int, tensorrt: Any, make_captioner: Any, image_spec: ImageSpec
) -> None:
    model = round_weights(make_captioner()) if halved else make_captioner()
    step, signature = step_graph(model, trace_signature(model, image_spec), fold_batch_norm=not halved)
    encoder = encoder_graph(model, signature, fold_batch_norm=not halved)
    for graph in (encoder, step):
        if halved:
            store_fp16(graph)
        assert build(tensorrt, graph, images, beams) is not None
