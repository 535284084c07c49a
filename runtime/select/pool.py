"""The pool of finished hypotheses of a group, and whether the group is done."""

from __future__ import annotations

import numpy as np

from cnnrnn.runtime.onnx_graph import FLOAT32, GraphWriter
from cnnrnn.runtime.select.group import Candidates, Group, Live, Shared, empty, is_alive
from cnnrnn.runtime.select.kind import EARLY_STOPPING_CODES, POOL, SelectKind

# What a position that was never looked at has got of attention, so that its logarithm is a number.
_LEAST_COVERAGE = float(np.finfo(np.float32).tiny)


def update_pool(
    graph: GraphWriter, kind: SelectKind, group: Group, shared: Shared, found: Candidates
) -> dict[str, str]:
    """The best W of the pool and of the complete ones among the first W candidates, by the pool's names."""
    logprobs, tokens, parents, complete = (
        name if kind.sampling else graph.slice(name, 1, 0, group.width)
        for name in (found.logprobs, found.tokens, found.parents, found.complete)
    )
    enters = graph.op("And", complete, is_alive(graph, logprobs))
    enters = graph.op("And", enters, graph.unsqueeze(group.open, 1))
    scores = graph.op("Div", logprobs, _penalty(graph, shared.length))
    if kind.coverage:
        covered = graph.op("GatherElements", _coverage_score(graph, group), parents, axis=1)
        scores = graph.op("Add", scores, covered)
    scores = graph.op("Where", enters, scores, empty(graph))
    steps = graph.op("Where", enters, shared.length, graph.constant([0], "int32"))
    merged = graph.op("Concat", group["finished_scores"], scores, axis=1)
    best, places = graph.top(merged, group.width, axis=1)
    made = {"finished_scores": best}
    beams = graph.op("Add", parents, graph.constant(group.first, "int32")) if group.first else parents
    for name, new in zip(POOL[1:], (logprobs, beams, steps, tokens), strict=True):
        both = graph.op("Concat", group[name], new, axis=1)
        made[name] = graph.op("GatherElements", both, places, axis=1)
    return made


def is_done(
    graph: GraphWriter,
    kind: SelectKind,
    shared: Shared,
    found: Candidates,
    live: Live,
    pool: dict[str, str],
) -> str:
    """Whether the group is done in each image, (B) bool."""
    never = graph.op("Equal", "early_stopping", graph.constant([EARLY_STOPPING_CODES["never"]], "int32"))
    grows = graph.op("And", never, graph.op("Greater", "length_penalty", graph.constant([0], "float32")))
    hoped_length = graph.op("Where", grows, "max_length", shared.length)
    best = _best(graph, kind, live.scores)
    likeliest = best if kind.groups == 1 else graph.squeeze(graph.slice(found.logprobs, 1, 0, 1), 1)
    hoped = graph.op("Div", likeliest, _penalty(graph, hoped_length))
    least = graph.op("ReduceMin", pool["finished_steps"], axes=[1], keepdims=0)
    full = graph.op("Greater", least, graph.constant([0], "int32"))
    worst = graph.op("ReduceMin", pool["finished_scores"], axes=[1], keepdims=0)
    better = graph.op("Greater", hoped, graph.op("Where", full, worst, empty(graph)))
    hopeful = graph.op("And", is_alive(graph, best), better)
    stops = graph.op("Equal", "early_stopping", graph.constant([EARLY_STOPPING_CODES[True]], "int32"))
    reached = graph.op("Or", shared.at_limit, graph.op("And", full, stops))
    return graph.op("Or", reached, graph.op("Not", hopeful))


def _best(graph: GraphWriter, kind: SelectKind, scores: str) -> str:
    """The best log-probability of the live beams (B); those of a search are in order."""
    if kind.sampling:
        return graph.op("ReduceMax", scores, axes=[1], keepdims=0)
    return graph.squeeze(graph.slice(scores, 1, 0, 1), 1)


def _coverage_score(graph: GraphWriter, group: Group) -> str:
    """GNMT's coverage penalty of each beam (B, W): beta times the sum of log(min(coverage, 1))."""
    got = graph.op("Add", group["coverage"], group["alignment"])
    bounded = graph.op("Min", got, graph.constant(1, "float32"))
    bounded = graph.op("Max", bounded, graph.constant(_LEAST_COVERAGE, "float32"))
    summed = graph.op("ReduceSum", graph.op("Log", bounded), graph.constant([2], "int64"), keepdims=0)
    return graph.op("Mul", summed, "coverage_penalty")


def _penalty(graph: GraphWriter, length: str) -> str:
    """What a log-probability is divided by: ((offset + length) / (offset + 1)) ** length_penalty."""
    one = graph.constant([1], "float32")
    longer = graph.op("Add", graph.op("Cast", length, to=FLOAT32), "length_offset")
    ratio = graph.op("Div", longer, graph.op("Add", "length_offset", one))
    return graph.op("Pow", ratio, "length_penalty")
