"""The pool of finished hypotheses of a group, and whether the group is done."""

from __future__ import annotations

import numpy as np

from cnnrnn.runtime.onnx_graph import GraphWriter
from cnnrnn.runtime.select.group import Candidates, Group, Live, Shared, empty
from cnnrnn.runtime.select.kind import DEAD, SelectKind

# What a position that was never looked at has got of attention, so that its logarithm is a number.
_LEAST_COVERAGE = float(np.finfo(np.float32).tiny)

# No log-probability is above it.
_NONE = float(np.finfo(np.float32).max)


def update_pool(
    graph: GraphWriter, kind: SelectKind, group: Group, shared: Shared, found: Candidates
) -> dict[str, str]:
    """The best W of the pool and of the complete ones among the first W candidates, by the pool's names."""
    count = group.width if kind.sampling else kind.candidates
    least = [DEAD / 2 if rank < group.width else _NONE for rank in range(count)]
    enters = graph.op("And", found.complete, group.open)
    enters = graph.op("And", enters, graph.op("Greater", found.logprobs, graph.constant([least], "float32")))
    scores = graph.op("Div", found.logprobs, graph.op("Gather", "divisors", shared.length))
    if kind.coverage:
        covered = graph.op("GatherElements", _coverage_score(graph, group), found.parents, axis=1)
        scores = graph.op("Add", scores, covered)
    scores = graph.op("Where", enters, scores, empty(graph))
    steps = graph.op("Where", enters, shared.length, graph.constant([0], "int32"))
    merged = graph.op("Concat", group["finished_scores"], scores, axis=1)
    best, places = graph.top(merged, group.width, axis=1)
    logprobs = graph.op("Concat", group["finished_logprobs"], found.logprobs, axis=1)
    beams = found.parents
    if group.first:
        beams = graph.op("Add", beams, graph.constant(group.first, "int32"))
    numbers = graph.op("Concat", group["finished"], beams, steps, found.tokens, axis=1)
    return {
        "finished_scores": best,
        "finished_logprobs": graph.op("GatherElements", logprobs, places, axis=1),
        "finished": graph.op("GatherElements", numbers, _threes(graph, group, count, places), axis=1),
    }


def _threes(graph: GraphWriter, group: Group, count: int, places: str) -> str:
    """Where the three integers of each of W hypotheses are, (B, 3 W): side by side in the pool, and after it
    the beams of all ``count`` candidates, then the numbers of their tokens, then their tokens."""
    old = [[3 * slot, 3 * slot + 1, 3 * slot + 2] for slot in range(group.width)]
    new = [[3 * group.width + number * count + rank for number in range(3)] for rank in range(count)]
    rows = graph.op("Gather", graph.constant([*old, *new], "int32"), places, axis=0)
    return graph.op("Reshape", rows, graph.constant([0, 3 * group.width], "int64"))


def is_done(
    graph: GraphWriter,
    kind: SelectKind,
    shared: Shared,
    found: Candidates,
    live: Live,
    pool: dict[str, str],
) -> str:
    """Whether the group is done in each image, (B, 1) bool."""
    best = _best(graph, kind, live.scores)
    likeliest = best if kind.groups == 1 else graph.pick(found.logprobs, 1, 0)
    length = graph.op("Max", shared.length, "reach")
    hoped = graph.op("Div", likeliest, graph.op("Gather", "divisors", length))
    hoped = graph.op("Min", hoped, "ceiling")
    worst = graph.pick(pool["finished_scores"], 1, kind.width - 1)  # EMPTY while a slot is
    gone = graph.op("LessOrEqual", best, graph.constant(DEAD / 2, "float32"))
    hopeless = graph.op("Or", gone, graph.op("LessOrEqual", hoped, worst))
    return graph.op("Or", shared.at_limit, hopeless)


def _best(graph: GraphWriter, kind: SelectKind, scores: str) -> str:
    """The best log-probability of the live beams (B, 1); those of a search are in order."""
    if kind.sampling:
        return graph.op("ReduceMax", scores, axes=[1], keepdims=1)
    return graph.pick(scores, 1, 0)


def _coverage_score(graph: GraphWriter, group: Group) -> str:
    """GNMT's coverage penalty of each beam (B, W): beta times the sum of log(min(coverage, 1))."""
    got = graph.op("Add", group["coverage"], group["alignment"])
    bounded = graph.op("Min", got, graph.constant(1, "float32"))
    bounded = graph.op("Max", bounded, graph.constant(_LEAST_COVERAGE, "float32"))
    summed = graph.op("ReduceSum", graph.op("Log", bounded), graph.constant([2], "int64"), keepdims=0)
    return graph.op("Mul", summed, "coverage_penalty")
