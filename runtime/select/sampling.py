"""The continuation that is drawn for each beam: every beam is a sample of its own.

Warpers come in Transformers' order: temperature, top-k, top-p, min-p. Each is a threshold on the logits,
below which a token is not drawn; tokens that are equally likely at a threshold all stay. The draw inverts the
cumulative distribution, over the vocabulary in order, at a uniform number that is an input.
"""

from __future__ import annotations

from cnnrnn.runtime.onnx_graph import FLOAT32, INT32, GraphWriter
from cnnrnn.runtime.select.group import Candidates, Group, Live, Shared, dead, is_alive, is_complete
from cnnrnn.runtime.select.kind import SelectKind
from cnnrnn.runtime.select.scores import Normalised, forbid, normalise, rescale


def drawn_candidates(
    graph: GraphWriter, kind: SelectKind, group: Group, shared: Shared
) -> tuple[Candidates, str]:
    """One continuation for each of W beams, in the order of the beams, and which images are faulty."""
    peak = graph.op("ReduceMax", group["logits"], axes=[2], keepdims=1)
    normalised = normalise(graph, group, peak)
    scores = rescale(graph, kind, group, normalised)
    allowed = _forbid_end(graph, shared, forbid(graph, kind, group, scores))
    best = graph.op("ReduceMax", allowed, axes=[2], keepdims=1)
    token = _draw(graph, kind, group, allowed, best)
    healthy = normalised.health.healthy
    may = graph.op("And", healthy, is_alive(graph, best))
    if shared.forced is not None:
        free = graph.op("Less", shared.forced, graph.constant(0, "int32"))
        given = graph.op("Max", shared.forced, graph.constant(0, "int32"))
        token = graph.op("Where", free, token, given)
        may = graph.op("Or", may, graph.op("And", healthy, graph.op("Not", free)))
    return _candidates(graph, kind, group, shared, normalised, token, may), normalised.health.faulty


def advance_drawn(graph: GraphWriter, found: Candidates) -> Live:
    """Every beam goes on by itself, unless it is complete."""
    scores = graph.op("Where", found.complete, dead(graph), found.logprobs)
    return Live(scores, found.tokens, found.parents)


def _candidates(
    graph: GraphWriter,
    kind: SelectKind,
    group: Group,
    shared: Shared,
    normalised: Normalised,
    token: str,
    may: str,
) -> Candidates:
    """The drawn tokens (B, W, 1) with the model's own log-probabilities."""
    own = graph.op("Sub", graph.op("GatherElements", normalised.shifted, token, axis=2), normalised.log_mass)
    total = graph.op("Add", own, graph.unsqueeze(group["scores"], 2))
    logprobs = graph.squeeze(graph.op("Where", may, total, dead(graph)), 2)
    tokens = graph.squeeze(token, 2)
    numbers = graph.constant([list(range(group.width))], "int32")
    parents = graph.op("Add", graph.op("Sub", tokens, tokens), numbers)
    return Candidates(logprobs, logprobs, tokens, parents, is_complete(graph, kind, shared, tokens))


def _forbid_end(graph: GraphWriter, shared: Shared, scores: str) -> str:
    """`DEAD` for the end tokens while the answer is shorter than ``min_length``."""
    ends = graph.op("Add", "end_tokens", _zeros(graph, scores))
    found = graph.op("GatherElements", scores, ends, axis=2)
    kept = graph.op("Where", shared.too_early, dead(graph), found)
    return graph.op("ScatterElements", scores, ends, kept, axis=2)


def _zeros(graph: GraphWriter, scores: str) -> str:
    """(B, W, 1) int32 zeros: added to what all beams of all images have, it repeats it for each."""
    alive = is_alive(graph, graph.pick(scores, 2, 0))
    return graph.op("Mul", graph.op("Cast", alive, to=INT32), graph.constant(0, "int32"))


def _draw(graph: GraphWriter, kind: SelectKind, group: Group, scores: str, best: str) -> str:
    """The token (B, W, 1) int32 at which the cumulative probability passes the uniform number."""
    warm = graph.op("Div", graph.op("Sub", scores, best), "temperature")
    threshold = graph.op("Log", "min_p")
    if kind.top_k or kind.nucleus:
        threshold = graph.op("Max", threshold, _least_of_top(graph, kind, warm))
    kept = graph.op("Cast", graph.op("GreaterOrEqual", warm, threshold), to=FLOAT32)
    weights = graph.op("Mul", graph.op("Exp", warm), kept)
    summed = graph.op("CumSum", weights, graph.constant(2, "int64"))
    total = graph.slice(summed, 2, -1, 2**31 - 1)
    uniform = graph.op("Gather", group["uniforms"], "step", axis=2)
    passed = graph.op("LessOrEqual", summed, graph.op("Mul", uniform, total))  # no NaN passes
    count = graph.op("Cast", passed, to=FLOAT32)  # exact below 2**24, and faster to add up than integers
    return graph.op("Cast", graph.op("ReduceSum", count, graph.constant([2], "int64"), keepdims=1), to=INT32)


def _least_of_top(graph: GraphWriter, kind: SelectKind, warm: str) -> str:
    """The threshold of top-k (B, W, 1), and of top-p: among those k, or as many as can be sorted."""
    top, _ = graph.top(warm, kind.ranked, axis=2)
    if not kind.nucleus:
        return graph.pick(top, 2, kind.ranked - 1)
    weights, axis = graph.op("Exp", top), graph.constant([2], "int64")
    before = graph.op("CumSum", weights, graph.constant(2, "int64"), exclusive=1)
    everything = weights if kind.top_k else graph.op("Exp", warm)
    total = graph.op("ReduceSum", everything, axis, keepdims=1)
    kept = graph.op("Less", before, graph.op("Mul", total, "top_p"))
    values = graph.op("Where", kept, top, graph.constant(0, "float32"))
    return graph.op("ReduceMin", values, axes=[2], keepdims=1)
