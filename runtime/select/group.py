"""What the parts of a select graph hand to one another: the tensors of a group of beams, and shared ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from cnnrnn.runtime.onnx_graph import INT32, GraphWriter
from cnnrnn.runtime.select.kind import DEAD, EMPTY, POOL, SelectKind


@dataclass(frozen=True)
class Shared:
    """Tensors that every group uses.

    Attributes:
        length: (1) int32, tokens with the one that is chosen now.
        at_limit: (B, 1) bool, whether that is the image's ``max_length``.
        too_early: (1) bool, whether an end token may not come yet; empty for CTC, which has none.
        forced: (B, 1, 1) int32, the token that has to come, or -1; None without a prefix.
    """

    length: str
    at_limit: str
    too_early: str
    forced: str | None

    @classmethod
    def of(cls, graph: GraphWriter, kind: SelectKind) -> Shared:
        length = graph.op("Add", "step", graph.constant([1], "int32"))
        forced = None
        if kind.prefix:
            forced = graph.unsqueeze(graph.op("Gather", "prefix", "step", axis=1), 2)
        return cls(
            length=length,
            at_limit=graph.op("GreaterOrEqual", length, "max_length"),
            too_early="" if kind.ctc else graph.op("Less", "step", "min_length"),
            forced=forced,
        )


@dataclass(frozen=True)
class Group:
    """The inputs of one group of W beams, cut out of those of all K where there are several groups.

    Attributes:
        width: W.
        first: the group's first beam.
        open: (B, 1) bool, the group goes on in this image.
        chosen: what the groups before chose in this step: tokens (B, n) int32 and, 1 or 0, whether each
            counts (B, n) float32; None for the first group.
        inputs: by name, those that have a beam axis.
    """

    width: int
    first: int
    open: str
    chosen: tuple[str, str] | None
    inputs: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, graph: GraphWriter, kind: SelectKind, number: int, chosen: tuple[str, str] | None) -> Group:
        width, first = kind.width, number * kind.width
        names = ["logits", "scores", *POOL]
        names += ["history"] * kind.history + ["nodes"] * kind.trie + ["uniforms"] * kind.sampling
        names += ["coverage", "alignment"] * kind.coverage
        if kind.groups == 1:
            done, inputs = "done", {name: name for name in names}
        else:
            done = graph.pick("group_done", 1, number)
            inputs = {
                name: graph.slice(name, 1, POOL.get(name, 1) * first, POOL.get(name, 1) * (first + width))
                for name in names
            }
        return cls(width, first, graph.op("Equal", done, graph.constant([0], "int32")), chosen, inputs)

    def __getitem__(self, name: str) -> str:
        return self.inputs[name]


@dataclass(frozen=True)
class Candidates:
    """Continuations, best first: all (B, C).

    Attributes:
        logprobs: of the whole sequence.
        ranks: what they are ordered by; ``logprobs`` but for greedy search with changed logits.
        tokens, parents: int32; parents count from the group's first beam.
        complete: bool, those that end or are at the limit.
    """

    logprobs: str
    ranks: str
    tokens: str
    parents: str
    complete: str


@dataclass(frozen=True)
class Live:
    """The live beams after the step, (B, W) each."""

    scores: str
    tokens: str
    parents: str


def is_end(graph: GraphWriter, kind: SelectKind, tokens: str) -> str:
    """Which tokens end a caption, bool of the shape of ``tokens``."""
    if kind.end_count == 1:
        return graph.op("Equal", tokens, "end_tokens")
    same = graph.op("Equal", graph.unsqueeze(tokens, -1), "end_tokens")
    any_ = graph.op("ReduceMax", graph.op("Cast", same, to=INT32), axes=[-1], keepdims=0)
    return graph.op("Greater", any_, graph.constant([0], "int32"))


def is_complete(graph: GraphWriter, kind: SelectKind, shared: Shared, tokens: str) -> str:
    """Which of (B, C) tokens make their sequence complete, bool."""
    return graph.op("Or", is_end(graph, kind, tokens), shared.at_limit)


def is_alive(graph: GraphWriter, logprobs: str) -> str:
    """Which log-probabilities are those of sequences that may come, bool."""
    return graph.op("Greater", logprobs, graph.constant(DEAD / 2, "float32"))


def dead(graph: GraphWriter) -> str:
    return graph.constant(DEAD, "float32")


def empty(graph: GraphWriter) -> str:
    return graph.constant(EMPTY, "float32")
