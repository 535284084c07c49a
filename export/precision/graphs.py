"""The graphs of a lower precision as they would be written, and as they are judged."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import onnx

from cnnrnn.core.manifest import GraphSpec, TensorSpec
from cnnrnn.export.draft import Draft
from cnnrnn.export.precision.lower import lower, tensor_types
from cnnrnn.export.precision.options import FULL, Precision
from cnnrnn.export.precision.rounded import explicit
from cnnrnn.export.precision.rules import ELEMENT_TYPES
from cnnrnn.export.precision.share import share
from cnnrnn.export.tidy import graph_bytes
from cnnrnn.runtime.graphs import Graphs

ROLES = ("encoder", "step")

_DTYPES = {
    onnx.TensorProto.UINT8: "uint8",
    onnx.TensorProto.INT32: "int32",
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.FLOAT16: "float16",
    onnx.TensorProto.BFLOAT16: "bfloat16",
}

Protos: TypeAlias = dict[str, onnx.ModelProto]

# By graph, the nodes and the shared tensors that stay float32 beside those that do by default.
Keep: TypeAlias = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Lowered:
    """A precision of a bundle.

    Attributes:
        precision: ``"fp16"`` or ``"bf16"``; ``keep`` is what was kept in float32.
        draft: the bundle with the precision's graphs, which share what weights they can with fp32's files.
        protos: the same graphs with their weights inside.
    """

    precision: Precision
    keep: Keep
    draft: Draft
    protos: Protos

    @property
    def written(self) -> Graphs:
        """The files as they are."""
        return self.draft.graphs(self.precision)

    @property
    def stored(self) -> Graphs:
        """The graphs with a rounding to the precision after every operator: see `explicit`."""
        rounded = {role: explicit(proto) for role, proto in self.protos.items()}
        pair = {role: _spec(role, proto) for role, proto in rounded.items()}
        manifest = dataclasses.replace(self.draft.manifest, precisions={self.precision: pair})
        files = {role: graph_bytes(proto) for role, proto in rounded.items()}
        others = self.draft.files
        return Graphs(manifest, self.precision, lambda name: files[name] if name in files else others[name])

    def lowered_nodes(self, role: str) -> frozenset[str]:
        """The nodes of a graph whose results are of the precision."""
        types = tensor_types(self.protos[role])
        low = ELEMENT_TYPES[self.precision]
        return frozenset(
            node.name for node in self.protos[role].graph.node if low in map(types.get, node.output)
        )

    @property
    def casts(self) -> int:
        """How many Cast nodes there are."""
        nodes = [node for proto in self.protos.values() for node in proto.graph.node]
        return sum(node.op_type == "Cast" for node in nodes)

    @property
    def bytes(self) -> int:
        """The size of the precision's files."""
        pair = self.draft.manifest.precisions[self.precision]
        return sum(len(self.draft.files[spec.file]) for spec in pair.values())


def full_graphs(draft: Draft) -> Protos:
    """The fp32 graphs ``encoder`` and ``step``, with their weights inside, and each node with a name."""
    pair = draft.manifest.precisions[FULL]
    protos = {role: onnx.load_from_string(draft.graph(pair[role].file)) for role in ROLES}
    for proto in protos.values():
        for place, node in enumerate(proto.graph.node):
            node.name = node.name or f"{node.op_type}.{place}"
    return protos


def lowered_graphs(draft: Draft, full: Protos, precision: Precision, keep: Keep) -> Lowered:
    """Lower the fp32 graphs of a bundle.

    Args:
        draft: has the precision ``"fp32"``; ``full`` are its graphs.
        keep: what stays float32; of a memory or a state in both graphs.
    """
    protos = {role: lower(proto, precision, keep.get(role, frozenset())) for role, proto in full.items()}
    files, pair = dict(draft.files), {}
    for role, proto in protos.items():
        source = draft.manifest.precisions[FULL][role].file
        name = f"{precision}/{role}.onnx"
        pair[role] = _spec(name, proto)
        files[name] = graph_bytes(share(proto, draft.files[source], f"../{source}"))
    precisions = {**draft.manifest.precisions, precision: pair}
    described = Draft(dataclasses.replace(draft.manifest, precisions=precisions), files)
    return Lowered(precision, keep, described, protos)


def _spec(file: str, proto: onnx.ModelProto) -> GraphSpec:
    return GraphSpec(file, _tensors(proto.graph.input), _tensors(proto.graph.output))


def _tensors(values: Iterable[onnx.ValueInfoProto]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            value.name,
            _DTYPES[value.type.tensor_type.elem_type],
            tuple(dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim),
        )
        for value in values
    )
