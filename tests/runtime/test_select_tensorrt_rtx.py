"""TensorRT for RTX parses and builds select graphs of every option without a GPU: each option alone, every
two together, and all at once."""

from __future__ import annotations

from typing import Any

import pytest

from cnnrnn.runtime.engine.library import TENSORRT_RTX, load_library
from cnnrnn.runtime.select import SelectKind, make_select, select_spec
from tests.engine.rigs import bindings
from tests.runtime.select_kinds import every_kind, named

SIZES = {"B": 2, "V": 1000, "T": 21, "P": 49, "N": 7, "M": 5000}


@pytest.fixture(scope="module")
def tensorrt() -> Any:
    bindings.rtx_libraries()
    return load_library(TENSORRT_RTX).module


@pytest.mark.slow
@pytest.mark.parametrize("kind", every_kind(), ids=named)
def test_it_builds(kind: SelectKind, tensorrt: Any) -> None:
    logger = tensorrt.Logger(tensorrt.Logger.ERROR)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = tensorrt.OnnxParser(network, logger)
    parsed = parser.parse(make_select(kind))
    assert parsed, [parser.get_error(index).desc() for index in range(parser.num_errors)]
    profile = builder.create_optimization_profile()
    for tensor in select_spec("", kind).inputs:
        shape = [SIZES[size] if isinstance(size, str) else size for size in tensor.shape]
        profile.set_shape(tensor.name, shape, shape, shape)
    config = builder.create_builder_config()
    config.add_optimization_profile(profile)
    assert builder.build_serialized_network(network, config) is not None
