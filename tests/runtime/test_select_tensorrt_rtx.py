"""TensorRT for RTX, where it is installed, parses and builds select graphs of every option without a GPU."""

from __future__ import annotations

import pytest

from cnnrnn.runtime.select import SelectKind, make_select, select_spec

tensorrt = pytest.importorskip(
    "tensorrt_rtx_bindings",
    reason="pip install tensorrt-rtx-cu13-libs==1.7.1.116 tensorrt-rtx-cu13-bindings==1.7.1.116 to run this",
)

SIZES = {"B": 2, "V": 1000, "T": 21, "P": 49, "N": 7, "M": 5000}
KINDS = [
    SelectKind(1),
    SelectKind(5),
    SelectKind(32),
    SelectKind(6, groups=3),
    SelectKind(5, end_count=2, repetition=True, ngram=3, suppress=True, bans=True),
    SelectKind(5, coverage=True, prefix=True, trie=True),
    SelectKind(5, sampling=True, top_k=50, nucleus=True),
    SelectKind(5, sampling=True, nucleus=True, vocabulary=1000),
    SelectKind(5, repetition=True),
    SelectKind(1, repetition=True),
    *(SelectKind(5, ngram=n) for n in (1, 2, 4)),
    SelectKind(5, suppress=True),
    SelectKind(5, bans=True),
    SelectKind(5, coverage=True),
    SelectKind(5, prefix=True),
    SelectKind(5, trie=True),
    SelectKind(5, sampling=True),
    SelectKind(5, sampling=True, top_k=50),
    SelectKind(
        6, groups=3, repetition=True, ngram=2, suppress=True, bans=True, coverage=True, prefix=True, trie=True
    ),
    SelectKind(
        4, sampling=True, repetition=True, ngram=2, suppress=True, bans=True, prefix=True, trie=True, top_k=9
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
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
