"""TensorRT for RTX, where it is installed, parses and builds select graphs of every option without a GPU:
each option alone, every two together, and all at once."""

from __future__ import annotations

import pytest

from cnnrnn.runtime.select import SelectKind, make_select, select_spec
from tests.runtime.select_kinds import every_kind, named

tensorrt = pytest.importorskip(
    "tensorrt_rtx_bindings",
    reason="pip install tensorrt-rtx-cu13-libs==1.7.1.116 tensorrt-rtx-cu13-bindings==1.7.1.116 to run this",
)

SIZES = {"B": 2, "V": 1000, "T": 21, "P": 49, "N": 7, "M": 5000}


@pytest.mark.slow
@pytest.mark.parametrize("kind", every_kind(), ids=named)
def test_it_builds(kind: SelectKind) -> None:
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
