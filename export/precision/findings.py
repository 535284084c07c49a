"""What is wrong with a tensor in a precision, told from its range; and the doctor's report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import onnx

from cnnrnn.export.precision.lower import FLOAT
from cnnrnn.export.precision.options import Precision
from cnnrnn.export.precision.ranges import Range
from cnnrnn.export.precision.rules import LARGEST, SMALLEST_NORMAL, SPACING

Kind: TypeAlias = Literal["overflow", "underflow", "cancellation", "coarse"]

# How many roundings' worth of a tensor's largest number may be lost at one node before it is worth a word.
NOTEWORTHY = 16

# Findings that a report spells out.
_TOLD = 5

# Softmax takes the exponential of what it reads: an error of 1/16 changes a weight by 6 %.
_NOTEWORTHY_EXPONENT = 1 / 16
_EXPONENTIAL = frozenset({"Softmax", "LogSoftmax", "Exp"})


@dataclass(frozen=True)
class Finding:
    """A tensor that the precision cannot hold well, in fp32's own free-running search.

    Attributes:
        graph, tensor, node: where; the node is the one that makes the tensor, empty for a graph's input.
        kind: ``"overflow"``, beyond the largest number; ``"underflow"``, so small that few or no digits are
            left; ``"cancellation"``, the rounding of its node's inputs is large beside the result;
            ``"coarse"``, rounded by more than the softmax that reads it can bear.
        largest, smallest: magnitudes that were reached.
        limit: the precision's number that they are beyond: the largest, or the smallest with all its digits;
            of the other kinds the share, or the distance, that may be lost.
        lost: what is lost, as a share of the tensor's largest number; 1 is all. Of ``"coarse"`` the distance.
        step: the step at which it was largest; None in the encoder.
    """

    graph: str
    tensor: str
    node: str
    kind: Kind
    largest: float
    smallest: float
    limit: float
    lost: float
    step: int | None

    @property
    def weight(self) -> float:
        """How bad it is, to order findings by."""
        return np.inf if self.kind == "overflow" else self.lost / max(self.limit, np.finfo(float).tiny)

    def __str__(self) -> str:
        when = "" if self.step is None else f" at step {self.step}"
        where = f"{self.graph}: {self.tensor!r}" + (f" (node {self.node})" if self.node else "")
        told = {
            "overflow": f"reaches {self.largest:.4g}{when}, beyond {self.limit:.4g}",
            "underflow": f"stays below {self.largest:.4g}, and full precision ends at {self.limit:.4g}",
            "cancellation": f"loses {self.lost:.1%} of its size to the rounding of what it is made of",
            "coarse": f"is rounded by {self.lost:.3g}{when}, of which softmax takes the exponential",
        }
        return f"{where} {told[self.kind]}"


@dataclass(frozen=True)
class Cost:
    """What the pins cost.

    Attributes:
        nodes, pinned_nodes: of both graphs, and how many of them are pinned.
        casts, bytes: Cast nodes and file size of the graphs with the pins, ``*_before`` without.
    """

    nodes: int
    pinned_nodes: int
    casts_before: int
    casts: int
    bytes_before: int
    bytes: int

    def __str__(self) -> str:
        return (
            f"{self.pinned_nodes} of {self.nodes} nodes in float32, "
            f"{self.casts - self.casts_before:+d} casts, {self.bytes - self.bytes_before:+,d} bytes"
        )


@dataclass(frozen=True)
class Diagnosis:
    """What the doctor found and did.

    Attributes:
        findings: the worst first; empty where rounding alone is the cause.
        pinned: by graph, the nodes and the shared tensors that are float32 now; empty where nothing had to
            be.
        cost: of the pins.
        trials: how many sets of pins were tried.
        fewest: whether none of the pins can be spared; False where the trials ended before that was known.
    """

    findings: tuple[Finding, ...]
    pinned: dict[str, tuple[str, ...]]
    cost: Cost | None
    trials: int
    fewest: bool = True

    def lines(self) -> list[str]:
        """What to tell a person, a sentence a line."""
        many = len(self.findings) - _TOLD
        told = [f"doctor: {finding}" for finding in self.findings[:_TOLD]]
        if many > 0:
            told.append(f"doctor: and {many} more, which --doctor-report FILE lists")
        if not self.findings:
            told.append("doctor: every tensor is within range, and none loses more than rounding does")
        if self.cost is not None:
            told.append(f"doctor: the cure costs {self.cost}; found in {self.trials} trials")
            if not self.fewest:
                told.append("doctor: the trials ended before it was known whether fewer nodes would do")
        return told


def find(
    ranges: Sequence[Range], protos: Mapping[str, onnx.ModelProto], precision: Precision
) -> list[Finding]:
    """The tensors that the precision cannot hold well, the worst first."""
    exponents = {
        (role, name)
        for role, proto in protos.items()
        for node in proto.graph.node
        if node.op_type in _EXPONENTIAL
        for name in node.input
    }
    found = [_finding(entry, precision, (entry.graph, entry.tensor) in exponents) for entry in ranges]
    weights = [entry for role, proto in protos.items() for entry in _weights(role, proto, precision)]
    told = [*weights, *(entry for entry in found if entry is not None)]
    return sorted(told, key=lambda entry: -entry.weight)


def _weights(role: str, proto: onnx.ModelProto, precision: Precision) -> Iterator[Finding]:
    """Weights beyond the precision's largest number; of batch normalisation the rules take care."""
    limit = LARGEST[precision]
    readers = {
        name: node.name
        for node in proto.graph.node
        if node.op_type != "BatchNormalization"
        for name in node.input
    }
    for tensor in proto.graph.initializer:
        if tensor.data_type != FLOAT or tensor.name not in readers:
            continue
        numbers = np.abs(onnx.numpy_helper.to_array(tensor))
        largest = float(numbers.max(initial=0))
        if numbers.size > 1 and largest > limit:
            smallest = float(numbers[numbers > 0].min())
            node = readers[tensor.name]
            yield Finding(role, tensor.name, node, "overflow", largest, smallest, limit, lost=1.0, step=None)


def _finding(entry: Range, precision: Precision, is_exponent: bool) -> Finding | None:
    share = NOTEWORTHY * SPACING[precision]
    distance = entry.rounding * entry.largest

    def finding(kind: Kind, limit: float, lost: float) -> Finding:
        return Finding(
            graph=entry.graph,
            tensor=entry.tensor,
            node=entry.node,
            kind=kind,
            largest=entry.largest,
            smallest=entry.smallest,
            limit=limit,
            lost=lost,
            step=entry.step,
        )

    if np.isinf(entry.rounding) or entry.largest > LARGEST[precision]:
        return finding("overflow", LARGEST[precision], 1.0)
    if entry.rounding > share:
        return finding("underflow", SMALLEST_NORMAL[precision], entry.rounding)
    if share < entry.passing < np.inf:  # infinite where an input or a weight is beyond the largest number
        return finding("cancellation", share, entry.passing)
    if is_exponent and distance > _NOTEWORTHY_EXPONENT:
        return finding("coarse", _NOTEWORTHY_EXPONENT, distance)
    return None


def named(pins: Iterable[frozenset[tuple[str, str]]]) -> dict[str, tuple[str, ...]]:
    """Pins as a report has them: by graph, sorted."""
    found: dict[str, set[str]] = {}
    for pin in pins:
        for graph, name in pin:
            found.setdefault(graph, set()).add(name)
    return {graph: tuple(sorted(names)) for graph, names in sorted(found.items())}
