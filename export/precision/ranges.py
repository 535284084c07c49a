"""What every tensor of the fp32 graphs reaches while they caption pictures freely, and what a precision loses
of it.

The fp32 graphs run with four numbers more for each tensor, computed in the graph itself, so that nothing
large leaves it: its largest and smallest magnitude, what rounding it would change, and what its node would
make of inputs and weights that are rounded. The last tells of cancellation: two large numbers that are close,
each well within range. Every step of every search is measured, since a state may grow for as long as it is
fed back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cnnrnn.core.manifest import GraphSpec, TensorSpec
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.export.draft import Draft
from cnnrnn.export.gate_pictures import Pictures
from cnnrnn.export.partings import dealt
from cnnrnn.export.precision.lower import lower, tensor_types
from cnnrnn.export.precision.options import FULL, Precision
from cnnrnn.export.precision.rules import ELEMENT_TYPES
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.graphs import Graphs
from cnnrnn.runtime.loop import SpecialTokens, decode
from cnnrnn.runtime.ort_cpu import OrtCpuBackend

_RANGES = "ranges"
_COLUMNS = 4
_FAR = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Range:
    """One tensor, over all steps of all searches of all pictures.

    Attributes:
        graph: ``"encoder"`` or ``"step"``.
        tensor: its name there; ``node`` is the one that makes it, empty for an input of the graph.
        lowered: whether its node computes in the precision.
        largest, smallest: magnitudes, zero left out; ``smallest`` is 0 where all were zero.
        rounding: the most that rounding changes in it, as a share of its largest number at that time;
            infinite where that is beyond the precision's.
        passing: likewise what comes of rounding the inputs and the weights of its node.
        step: at which step it was largest; None in the encoder.
    """

    graph: str
    tensor: str
    node: str
    lowered: bool
    largest: float
    smallest: float
    rounding: float
    passing: float
    step: int | None


def measure_ranges(
    draft: Draft,
    precision: Precision,
    protos: dict[str, onnx.ModelProto],
    pictures: Pictures,
    tokenizer: Tokenizer,
    progress: Callable[[int, int], None] | None = None,
) -> list[Range]:
    """Caption the pictures freely by the fp32 graphs, and measure every tensor.

    Args:
        protos: the fp32 graphs, by role.
        progress: told how many pictures' searches of how many are done.
    """
    graphs = {role: _Measured.of(proto, precision) for role, proto in protos.items()}
    backend = _RangeBackend(draft, graphs)
    searches = draft.searches()
    special = SpecialTokens(tokenizer.start, (tokenizer.end,))
    try:
        done, total = 0, len(searches) * len(pictures)
        for options in searches:
            for part in pictures.parts():
                search = dealt(options, part, tokenizer)
                decode(backend, part.images, search, special, Clock(), questions=part.questions)
                done += len(part.names)
                if progress is not None:
                    progress(done, total)
        return [found for role, graph in graphs.items() for found in backend.seen[role].ranges(role, graph)]
    finally:
        backend.close()


@dataclass(frozen=True)
class _Measured:
    """A graph with the output `ranges`: (tensors, 4), a row for each of ``tensors``."""

    proto: onnx.ModelProto
    tensors: list[str]
    nodes: dict[str, str]
    lowered: frozenset[str]

    @staticmethod
    def of(proto: onnx.ModelProto, precision: Precision) -> _Measured:
        return _Instrument(proto, precision).measured()


class _Instrument:
    """Writes the nodes that measure beside those of an fp32 graph."""

    def __init__(self, proto: onnx.ModelProto, precision: Precision) -> None:
        self._proto = onnx.ModelProto()
        self._proto.CopyFrom(proto)
        self._low = ELEMENT_TYPES[precision]
        self._types = tensor_types(proto)
        self._lowered = lower(proto, precision)
        self._lowered_types = tensor_types(self._lowered)
        self._nodes: list[onnx.NodeProto] = []
        self._weights = {tensor.name: tensor for tensor in self._lowered.graph.initializer}
        self._added: dict[str, onnx.TensorProto] = {}

    def measured(self) -> _Measured:
        graph = self._proto.graph
        stored = {tensor.name for tensor in graph.initializer}
        widened = {
            node.output[0] for node in graph.node if node.op_type == "Cast" and node.input[0] in stored
        }
        makers = {name: node.name for node in graph.node for name in node.output if name not in widened}
        made = [*(value.name for value in graph.input), *makers]
        tensors = [name for name in made if self._types.get(name) == TensorProto.FLOAT]
        shadows = self._shadows(set(tensors))
        scalars = [scalar for name in tensors for scalar in self._row(name, shadows.get(name))]
        self._op("Concat", scalars, "ranges.flat", axis=0)
        self._add_constant("ranges.shape", np.array([len(tensors), _COLUMNS], np.int64))
        self._op("Reshape", ["ranges.flat", "ranges.shape"], _RANGES)
        graph.node.extend(self._nodes)
        graph.initializer.extend(self._added.values())
        shape = [len(tensors), _COLUMNS]
        graph.output.append(helper.make_tensor_value_info(_RANGES, TensorProto.FLOAT, shape))
        return _Measured(self._proto, tensors, makers, frozenset(shadows))

    def _shadows(self, known: set[str]) -> dict[str, str]:
        """Nodes that compute in the precision once more, from rounded inputs and weights; by tensor its
        twin."""
        twins: dict[str, str] = {}
        for node in self._lowered.graph.node:
            outputs = [self._source_of(name) for name in node.output]
            low = any(self._lowered_types.get(name) == self._low for name in node.output)
            if not low or node.op_type == "Cast" or not known.issuperset(outputs):
                continue
            twin = onnx.NodeProto()
            twin.CopyFrom(node)
            twin.name = f"twin/{node.name}"
            for place, name in enumerate(node.input):
                twin.input[place] = self._twin_input(name)
            for place, name in enumerate(outputs):
                twin.output[place] = twins[name] = f"{name}.twin"
            self._nodes.append(twin)
        return twins

    def _twin_input(self, name: str) -> str:
        if name in self._weights:
            label = f"twin/{name}"
            array = numpy_helper.to_array(self._weights[name])
            low = self._weights[name].data_type == self._low
            self._add_constant(label, array.astype(np.float32) if low else array)
            return label
        source = self._source_of(name)
        low = self._lowered_types.get(name) == self._low
        return f"{source}.held" if low and source in self._types else source

    def _source_of(self, name: str) -> str:
        """The tensor of the fp32 graph that one of the lowered graph is."""
        return name if name in self._types else name.rpartition(".")[0]

    def _row(self, name: str, twin: str | None) -> list[str]:
        """Largest, smallest, what rounding changes and what the twin differs by: four tensors of one
        number."""
        size = self._op("Abs", [name], f"{name}.size")
        short = self._op("Cast", [name], f"{name}.short", to=self._low)
        held = self._op("Cast", [short], f"{name}.held", to=TensorProto.FLOAT)
        self._add_constant("ranges.zero", np.float32(0))
        self._add_constant("ranges.far", np.float32(_FAR))
        nothing = self._op("Equal", [size, "ranges.zero"], f"{name}.nothing")
        counted = self._op("Where", [nothing, "ranges.far", size], f"{name}.counted")
        return [
            self._one("ReduceMax", size, f"{name}.largest"),
            self._one("ReduceMin", counted, f"{name}.smallest"),
            self._one("ReduceMax", self._distance(name, held), f"{name}.rounding"),
            self._one("ReduceMax", self._distance(name, twin or name), f"{name}.passing"),
        ]

    def _distance(self, one: str, other: str) -> str:
        difference = self._op("Sub", [one, other], f"{one}.minus.{other}")
        return self._op("Abs", [difference], f"{one}.from.{other}")

    def _one(self, kind: str, tensor: str, name: str) -> str:
        self._add_constant("ranges.one", np.array([1], np.int64))
        return self._op("Reshape", [self._op(kind, [tensor], f"{name}.all"), "ranges.one"], name)

    def _op(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(kind, inputs, [output], name=f"measure/{output}", **attributes))
        return output

    def _add_constant(self, name: str, value: Any) -> None:
        self._added.setdefault(name, numpy_helper.from_array(np.asarray(value), name))


class _Seen:
    """The worst of each number of a graph's tensors so far."""

    def __init__(self) -> None:
        self._worst: NDArray[np.float64] | None = None
        self._steps: NDArray[np.int64] | None = None

    def note(self, found: NDArray[np.float32], step: int) -> None:
        table = np.nan_to_num(found.astype(np.float64), nan=np.inf, posinf=np.inf)
        table[:, 2:] /= np.maximum(table[:, :1], np.finfo(np.float32).tiny)
        if self._worst is None or self._steps is None:
            self._worst, self._steps = table, np.full(len(table), step)
            return
        self._steps = np.where(table[:, 0] > self._worst[:, 0], step, self._steps)
        smallest = np.minimum(self._worst[:, 1], table[:, 1])
        self._worst = np.maximum(self._worst, table)
        self._worst[:, 1] = smallest

    def ranges(self, role: str, graph: _Measured) -> list[Range]:
        assert self._worst is not None
        assert self._steps is not None
        return [
            Range(
                graph=role,
                tensor=name,
                node=graph.nodes.get(name, ""),
                lowered=name in graph.lowered,
                largest=largest,
                smallest=0.0 if smallest >= _FAR else smallest,
                rounding=rounding,
                passing=passing,
                step=None if role == "encoder" else int(step),
            )
            for name, (largest, smallest, rounding, passing), step in zip(
                graph.tensors, self._worst.tolist(), self._steps, strict=True
            )
        ]


class _RangeBackend(OrtCpuBackend):
    """fp32's graphs on ONNX Runtime; what they measure is kept here, by role, and nobody else sees it."""

    def __init__(self, draft: Draft, graphs: dict[str, _Measured]) -> None:
        pair = {role: _with_ranges(draft.manifest.precisions[FULL][role], graphs[role]) for role in graphs}
        self._roles = {spec.file: role for role, spec in pair.items()}
        self.seen = {role: _Seen() for role in graphs}
        self._step_number = -1
        files = {pair[role].file: graph.proto.SerializeToString() for role, graph in graphs.items()}
        manifest = dataclasses.replace(draft.manifest, precisions={FULL: pair})
        super().__init__(
            Graphs(manifest, FULL, lambda name: files[name] if name in files else draft.files[name])
        )

    def _run(self, session: Any, what: str, names: list[str], feeds: Any) -> Any:
        found = super()._run(session, what, names, feeds)
        role = self._roles[what]
        self._step_number = self._step_number + 1 if role == "step" else -1
        self.seen[role].note(self.to_host(found.pop(_RANGES)), self._step_number)
        return found


def _with_ranges(spec: GraphSpec, graph: _Measured) -> GraphSpec:
    added = TensorSpec(_RANGES, "float32", (len(graph.tensors), _COLUMNS))
    return dataclasses.replace(spec, outputs=(*spec.outputs, added))
