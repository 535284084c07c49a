"""The best continuations of a group's live beams, and the live beams of the next step among them."""

from __future__ import annotations

from cnnrnn.runtime.onnx_graph import FLOAT32, INT32, GraphWriter
from cnnrnn.runtime.select.group import Candidates, Group, Live, Shared, dead, is_alive, is_complete, is_end
from cnnrnn.runtime.select.kind import DEAD, SelectKind
from cnnrnn.runtime.select.scores import (
    Health,
    Normalised,
    changes_scores,
    every_beam,
    forbid,
    normalise,
    rescale,
)

# Candidates that are sorted whole by their tokens; of more, the best are taken out first.
_MANY = 512


def best_candidates(
    graph: GraphWriter, kind: SelectKind, group: Group, shared: Shared
) -> tuple[Candidates, str]:
    """The best C continuations, and which images are faulty (B, 1) bool."""
    normalised = None
    if changes_scores(kind) or kind.prefix:
        tokens, own, normalised = _of_each_beam(graph, kind, group, shared)
        health = normalised.health
    else:
        tokens, own, health = _of_each_beam_plainly(graph, kind, group)
    late = graph.op("And", is_end(graph, kind, tokens), shared.too_early)
    before = graph.unsqueeze(group["scores"], 2)
    ranks = graph.op("Where", health.healthy, graph.op("Add", own, before), dead(graph))
    ranks = graph.op("Where", late, dead(graph), ranks)
    logprobs = None
    if kind.raw and normalised is not None:
        own = graph.op(
            "Sub", graph.op("GatherElements", normalised.shifted, tokens, axis=2), normalised.log_mass
        )
        logprobs = graph.op("Where", is_alive(graph, ranks), graph.op("Add", own, before), dead(graph))
    return _best_of_all(graph, kind, group, shared, ranks, tokens, logprobs), health.faulty


def advance(graph: GraphWriter, group: Group, found: Candidates) -> Live:
    """The live beams of the next step: the W best candidates that are not complete."""
    ranks = without(graph, found.ranks, found.complete)
    scores, best = graph.top(ranks, group.width, axis=1)
    if found.logprobs != found.ranks:
        scores = graph.op("GatherElements", without(graph, found.logprobs, found.complete), best, axis=1)
    tokens, parents = (
        graph.op("GatherElements", name, best, axis=1) for name in (found.tokens, found.parents)
    )
    return Live(scores, tokens, parents)


def _of_each_beam_plainly(graph: GraphWriter, kind: SelectKind, group: Group) -> tuple[str, str, Health]:
    """The best of each beam, (B, W, n): tokens and their log-probabilities, where no option changes those.

    The likeliest token's probability is what the sum of all has to be known for: a Softmax gives it in one
    node, and its logarithm is exact enough, since it is never below 1 / V.
    """
    top, places = graph.top(group["logits"], kind.per_beam, axis=2)
    likeliest = graph.op(
        "GatherElements",
        graph.op("Softmax", group["logits"], axis=2),
        graph.pick(places, 2, 0),
        axis=2,
    )
    lower = graph.op("Sub", top, graph.pick(top, 2, 0))
    own = graph.op("Add", lower, graph.op("Log", likeliest))
    return graph.op("Cast", places, to=INT32), own, Health.of(graph, group, likeliest)


def _of_each_beam(
    graph: GraphWriter, kind: SelectKind, group: Group, shared: Shared
) -> tuple[str, str, Normalised]:
    """The best of each beam, (B, W, n): tokens and their scores."""
    normalised = normalise(graph, group, graph.op("ReduceMax", group["logits"], axes=[2], keepdims=1))
    scores = rescale(graph, kind, group, normalised)
    top, places = graph.top(forbid(graph, kind, group, scores), kind.per_beam, axis=2)
    own = graph.op("Sub", top, normalised.log_mass)
    tokens = graph.op("Cast", places, to=INT32)
    if shared.forced is not None:
        tokens, own = _forced(graph, kind, group, shared.forced, scores, normalised, tokens, own)
    return tokens, own, normalised


def _forced(
    graph: GraphWriter,
    kind: SelectKind,
    group: Group,
    forced: str,
    scores: str,
    normalised: Normalised,
    tokens: str,
    own: str,
) -> tuple[str, str]:
    """Where a token has to come, it is each beam's only continuation, whatever is forbidden."""
    place = graph.op("Add", graph.op("Max", forced, graph.constant(0, "int32")), every_beam(graph, group))
    value = graph.op("Sub", graph.op("GatherElements", scores, place, axis=2), normalised.log_mass)
    once = graph.constant([[[0.0] + [DEAD] * (kind.per_beam - 1)]], "float32")
    free = graph.op("Less", forced, graph.constant(0, "int32"))
    return (
        graph.op("Where", free, tokens, place),
        graph.op("Where", free, own, graph.op("Add", value, once)),
    )


def _best_of_all(
    graph: GraphWriter,
    kind: SelectKind,
    group: Group,
    shared: Shared,
    ranks: str,
    tokens: str,
    logprobs: str | None,
) -> Candidates:
    """The best C over all beams; of equal ones the lowest token comes first, then the lowest beam."""
    count = group.width * kind.per_beam
    flat = graph.constant([0, count], "int64")
    ranks, tokens = (graph.op("Reshape", name, flat) for name in (ranks, tokens))
    if group.width == 1:
        best, places = graph.top(ranks, kind.candidates, axis=1)
    else:
        numbers = graph.op("Cast", tokens, to=FLOAT32)
        if count > _MANY:
            chosen = _chosen(graph, kind, ranks, numbers)
            by_token = graph.op("GatherElements", numbers, chosen, axis=1)
            _, order = graph.top(by_token, kind.candidates, axis=1, largest=0)
            order = graph.op("GatherElements", chosen, order, axis=1)
        else:
            _, order = graph.top(numbers, count, axis=1, largest=0)
        ordered = graph.op("GatherElements", ranks, order, axis=1)
        best, places = graph.top(ordered, kind.candidates, axis=1)  # stable
        places = graph.op("GatherElements", order, places, axis=1)
    tokens = graph.op("GatherElements", tokens, places, axis=1)
    beam_of_place = [beam for beam in range(group.width) for _ in range(kind.per_beam)]
    if logprobs is None:
        found = best
    else:
        found = graph.op("GatherElements", graph.op("Reshape", logprobs, flat), places, axis=1)
    return Candidates(
        logprobs=found,
        ranks=best,
        tokens=tokens,
        parents=graph.op("Gather", graph.constant(beam_of_place, "int32"), places),
        complete=is_complete(graph, kind, shared, tokens),
    )


def _chosen(graph: GraphWriter, kind: SelectKind, ranks: str, numbers: str) -> str:
    """The places (B, C) of the best C, in no order: all above the C-th rank, of ties the lowest tokens.

    For many candidates this is faster than to sort them all, which an engine's TopK may not even be able to.
    """
    top, _ = graph.top(ranks, kind.candidates, axis=1)
    last = graph.pick(top, 1, kind.candidates - 1)
    below = graph.op("Where", graph.op("Less", ranks, last), dead(graph), graph.op("Neg", numbers))
    above = graph.op("Greater", ranks, last)
    _, places = graph.top(
        graph.op("Where", above, graph.constant(1, "float32"), below), kind.candidates, axis=1
    )
    return places


def without(graph: GraphWriter, logprobs: str, complete: str) -> str:
    """Log-probabilities (B, C), those of the ``complete`` taken out of the running."""
    return graph.op("Where", complete, dead(graph), logprobs)
