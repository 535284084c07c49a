"""The scores of the next token: log-softmax, and the options that change it.

Letters: B images, W beams of a group, V vocabulary. What an option forbids gets the score `DEAD`. The options
work on logits with the beam's highest one taken off, in the order of Transformers' logits processors:
diversity, repetition, n-grams, bans. The few tokens that an option is about are gathered, changed and
scattered back, so that its cost is one copy of the logits whatever the vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

from cnnrnn.runtime.onnx_graph import INT32, GraphWriter
from cnnrnn.runtime.select.group import Group, dead, is_alive
from cnnrnn.runtime.select.kind import SelectKind


@dataclass(frozen=True)
class Health:
    """Whether logits are numbers.

    Attributes:
        healthy: (B, W, 1) bool: no logit is NaN or +inf, one at least is finite.
        faulty: (B, 1) bool: a live beam is not healthy.
    """

    healthy: str
    faulty: str

    @classmethod
    def of(cls, graph: GraphWriter, group: Group, norm: str) -> Health:
        """``norm`` (B, W, 1) is above 0, or NaN whatever it is that is wrong with a logit."""
        zero = graph.constant(0, "float32")
        alive = is_alive(graph, graph.unsqueeze(group["scores"], 2))
        of_live = graph.op("Where", alive, norm, graph.constant(1, "float32"))
        summed = graph.op("ReduceSum", of_live, graph.constant([1], "int64"), keepdims=0)
        healthy = graph.op("Greater", norm, zero)
        return cls(healthy, graph.op("Not", graph.op("Greater", summed, zero)))


@dataclass(frozen=True)
class Normalised:
    """Logits and what makes log-probabilities of them.

    Attributes:
        shifted: (B, W, V), logits less ``peak``.
        peak: (B, W, 1), the highest logit.
        log_mass: (B, W, 1): a log-probability is ``shifted - log_mass``.
        health: whether they are numbers.
    """

    shifted: str
    peak: str
    log_mass: str
    health: Health


def normalise(graph: GraphWriter, group: Group, peak: str) -> Normalised:
    """The sum of ``exp(logit - peak)`` is 1 at least, and NaN whatever it is that is wrong with a logit."""
    shifted = graph.op("Sub", group["logits"], peak)
    mass = graph.op("ReduceSum", graph.op("Exp", shifted), graph.constant([2], "int64"), keepdims=1)
    return Normalised(shifted, peak, graph.op("Log", mass), Health.of(graph, group, mass))


def changes_scores(kind: SelectKind) -> bool:
    """Whether an option changes scores before the best are taken."""
    return kind.history or kind.suppress or kind.trie or kind.groups > 1


def rescale(graph: GraphWriter, kind: SelectKind, group: Group, normalised: Normalised) -> str:
    """``shifted`` after what makes a token more or less likely: diversity and repetition."""
    scores = normalised.shifted
    if group.chosen is not None:
        scores = _less_diverse(graph, group, scores, *group.chosen)
    if kind.repetition:
        scores = _less_repeated(graph, kind, group, normalised, scores)
    return scores


def forbid(graph: GraphWriter, kind: SelectKind, group: Group, scores: str) -> str:
    """``scores`` (B, W, V) with `DEAD` for every token that may not come."""
    if kind.ngram:
        scores = _ban(graph, scores, *_repeated(graph, kind, group["history"]))
    if kind.bans:
        scores = _ban(graph, scores, _in_context(graph, group["history"]), "ban_tokens")
    if kind.trie:
        scores = graph.op("Where", in_trie(graph, group["nodes"]), scores, dead(graph))
    if kind.suppress:
        scores = graph.op("Add", scores, "suppressed")
    return scores


def _less_diverse(graph: GraphWriter, group: Group, scores: str, tokens: str, counts: str) -> str:
    """Take the penalty off each token once for every beam that chose it, in the groups before."""
    same = graph.op("Equal", graph.unsqueeze(tokens, 2), graph.unsqueeze(tokens, 1))
    counted = graph.op("Where", same, graph.unsqueeze(counts, 1), graph.constant(0, "float32"))
    times = graph.op("ReduceSum", counted, graph.constant([2], "int64"), keepdims=0)
    penalty = graph.unsqueeze(graph.op("Mul", times, "diversity_penalty"), 1)
    places = graph.op("Add", graph.unsqueeze(tokens, 1), every_beam(graph, group))
    found = graph.op("GatherElements", scores, places, axis=2)
    return graph.op("ScatterElements", scores, places, graph.op("Sub", found, penalty), axis=2)


def _less_repeated(
    graph: GraphWriter, kind: SelectKind, group: Group, normalised: Normalised, scores: str
) -> str:
    """Penalise each token of the history, which is done once however often it came."""
    history = group["history"]
    unused = graph.op("Less", history, graph.constant(0, "int32"))
    places = graph.op("Where", unused, graph.pick(history, 2, 0), history)
    found = graph.op("GatherElements", scores, places, axis=2)
    on, off = ("Add", "Sub") if kind.raw else ("Sub", "Add")
    level = normalised.peak if kind.raw else normalised.log_mass
    value = graph.op(on, found, level)
    negative = graph.op("Less", value, graph.constant(0, "float32"))
    less = graph.op(
        "Where",
        negative,
        graph.op("Mul", value, "repetition_penalty"),
        graph.op("Div", value, "repetition_penalty"),
    )
    return graph.op("ScatterElements", scores, places, graph.op(off, less, level), axis=2)


def _repeated(graph: GraphWriter, kind: SelectKind, history: str) -> tuple[str, str]:
    """Which tokens of the history came after the n - 1 tokens that stand last now, and those tokens.

    The history has the last token first, so the n - 1 tokens before place i stand at i + 1 to i + n - 1. Its
    unused end cannot match, since the first token is always a real one.
    """
    n = kind.ngram
    if n == 1:
        return graph.op("Not", graph.op("Less", history, graph.constant(0, "int32"))), history
    matched = None
    for before in range(n - 1):
        end = before + 2 - n
        shifted = graph.slice(history, 2, before + 1, end if end < 0 else 2**31 - 1)
        same = graph.op("Equal", shifted, graph.pick(history, 2, before))
        matched = same if matched is None else graph.op("And", matched, same)
    assert matched is not None
    return matched, graph.slice(history, 2, 0, 1 - n)


def _in_context(graph: GraphWriter, history: str) -> str:
    """Which of N forbidden sequences are complete but for their last token, (B, W, N) bool."""
    same = graph.op("Equal", graph.unsqueeze(history, 2), "ban_contexts")
    anything = graph.op("Less", "ban_contexts", graph.constant(0, "int32"))
    fits = graph.op("Cast", graph.op("Or", same, anything), to=INT32)
    all_ = graph.op("ReduceMin", fits, axes=[3], keepdims=0)
    return graph.op("Greater", all_, graph.constant(0, "int32"))


def _ban(graph: GraphWriter, scores: str, banned: str, tokens: str) -> str:
    """`DEAD` for those of ``tokens`` (B, W, n), or (n), that are ``banned`` (B, W, n) bool.

    A scatter writes all of its n values: for a token that is not banned, a banned one of its row is written
    again, and where the row has none, the row's first value as it is.
    """
    none = graph.constant(-1, "int32")
    last = graph.op("ReduceMax", graph.op("Where", banned, tokens, none), axes=[2], keepdims=1)
    any_ = graph.op("Greater", last, none)
    spare = graph.op("Max", last, graph.constant(0, "int32"))
    value = graph.op("Where", any_, dead(graph), graph.pick(scores, 2, 0))
    places = graph.op("Where", banned, tokens, spare)
    values = graph.op("Where", banned, value, value)  # of the shape of places
    return graph.op("ScatterElements", scores, places, values, axis=2)


def in_trie(graph: GraphWriter, nodes: str) -> str:
    """Which tokens may come in each beam's node, (B, W, V) bool.

    The table is gathered from as one row: so ONNX Runtime takes a fifth of the time of a Gather.
    """
    bases = graph.unsqueeze(graph.op("Gather", "trie_base", nodes), 2)
    places = graph.op("Add", bases, "token_ids")
    row = graph.op("Reshape", places, graph.constant([-1], "int64"))
    owners = graph.op("GatherElements", "trie_check", row, axis=0)
    owners = graph.op("Reshape", owners, graph.op("Shape", places))
    return graph.op("Equal", owners, graph.unsqueeze(nodes, 2))


def every_beam(graph: GraphWriter, group: Group) -> str:
    """(1, W, 1) int32 zeros: added to what is the same for all beams, it repeats it for each."""
    return graph.constant([[[0]] * group.width], "int32")
