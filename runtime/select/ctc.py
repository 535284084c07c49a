"""The select graph of connectionist temporal classification: one column of a text line.

CTC (Graves et al., "Connectionist Temporal Classification", ICML 2006) gives every column a distribution over
the characters and a blank; a text's probability is the sum over all ways to write it along the columns, in
which a character may stand several times in a row and blanks anywhere, but between two equal characters one
at least. A step of the search is a column.

Prefix beam search (Graves, "Supervised Sequence Labelling with Recurrent Neural Networks", 2012, chapter 7;
Hannun et al., arXiv 1408.2873) keeps the K likeliest prefixes, each with the log-probability of the ways that
end in a blank and of those that end in its last character:

1. A prefix stays, by a blank or by its last character again; or it gets one more character. The character
   that it ends in is one more only after a blank.
2. An extension that is another live prefix is the same text: their probabilities are added, exactly, and one
   of the two is left. The pair is found by comparing whole prefixes.
3. The K likeliest live on; of equal ones those that stay come first, then the lowest beam.

At ``max_length``, the last column, the live prefixes are the answer, best first; with a trie only those that
are whole phrases.

``tokens`` has the blank where a prefix stays, so that a hypothesis, followed back, is a row of one token a
column: its text is what is left without blanks. Where two ways to a prefix meet, the likelier is its past.

With one beam this is best path decoding: the likeliest token of each column, repetitions and blanks left out,
and the score is that one way's log-probability.
"""

from __future__ import annotations

from dataclasses import dataclass

from cnnrnn.runtime.onnx_graph import INT32, INT64, GraphWriter
from cnnrnn.runtime.select.group import Shared, dead, is_alive
from cnnrnn.runtime.select.kind import SelectKind
from cnnrnn.runtime.select.scores import in_trie


@dataclass(frozen=True)
class Column:
    """What the column says, the same for all beams.

    Attributes:
        blank: (B, 1) log-probability of the blank.
        characters: (B, V) log-probabilities, `DEAD` for what is no character or is suppressed.
        faulty: (B, 1) bool: logits are NaN or +inf, or all -inf.
    """

    blank: str
    characters: str
    faulty: str

    @classmethod
    def of(cls, graph: GraphWriter) -> Column:
        logits = graph.squeeze(graph.pick("logits", 1, 0), 1)
        shifted = graph.op("Sub", logits, graph.op("ReduceMax", logits, axes=[1], keepdims=1))
        mass = graph.op("ReduceSum", graph.op("Exp", shifted), graph.constant([1], "int64"), keepdims=1)
        healthy = graph.op("Greater", mass, graph.constant(0, "float32"))
        logprobs = graph.op("Sub", shifted, graph.op("Log", mass))
        logprobs = graph.op("Where", healthy, graph.op("Max", logprobs, dead(graph)), dead(graph))
        characters = graph.op("Max", graph.op("Add", logprobs, "suppressed"), dead(graph))
        return cls(graph.op("Gather", logprobs, "blank", axis=1), characters, graph.op("Not", healthy))


@dataclass(frozen=True)
class Prefixes:
    """The live prefixes after the column, (B, K) each; ``state`` by the names of `state_specs`."""

    scores: str
    tokens: str
    parents: str
    state: dict[str, str]


def best_path(graph: GraphWriter, column: Column) -> Prefixes:
    """The likeliest token of the column; a character counts where another stood in the column before."""
    best, place = graph.top(column.characters, 1, axis=1)
    is_blank = graph.op("GreaterOrEqual", column.blank, best)
    chosen = graph.op("Where", is_blank, "blank", graph.op("Cast", place, to=INT32))
    tokens = graph.op("Where", graph.op("Equal", chosen, "last"), "blank", chosen)
    return Prefixes(
        scores=graph.op("Add", "scores", graph.op("Max", best, column.blank)),
        tokens=tokens,
        parents=graph.op("Mul", chosen, graph.constant(0, "int32")),
        state={"last": chosen},
    )


def best_prefixes(graph: GraphWriter, kind: SelectKind, column: Column) -> Prefixes:
    """The K likeliest of the prefixes that stay and of their extensions."""
    whole, children = _add(graph, "blank_scores", "char_scores"), _children(graph)
    staying = _stay(graph, kind, column, children, whole)
    tokens, values = _extensions(graph, kind, column, children, whole)
    flat = graph.constant([0, kind.beams * kind.per_beam], "int64")
    values, tokens = (graph.op("Reshape", name, flat) for name in (values, tokens))
    of_staying = _add(graph, staying.blank, staying.char)
    scores, places = graph.top(graph.op("Concat", of_staying, values, axis=1), kind.beams, axis=1)

    def chosen(stay: str, extended: str) -> str:
        return graph.op("GatherElements", graph.op("Concat", stay, extended, axis=1), places, axis=1)

    never = graph.op("Add", graph.op("Mul", values, graph.constant(0, "float32")), dead(graph))
    owner = graph.constant([[beam for beam in range(kind.beams) for _ in range(kind.per_beam)]], "int32")
    owner = graph.op("Add", graph.op("Mul", tokens, graph.constant(0, "int32")), owner)
    made, parents = chosen(staying.tokens, tokens), chosen(staying.parents, owner)
    state = {
        "blank_scores": graph.op("Max", chosen(staying.blank, never), dead(graph)),
        "char_scores": graph.op("Max", chosen(staying.char, values), dead(graph)),
        **_remember(graph, kind, made, parents),
    }
    return Prefixes(scores, made, parents, state)


@dataclass(frozen=True)
class _Staying:
    """The live prefixes after one more column, (B, K) each: the log-probabilities of the ways that end in a
    blank and in the last character, and the token and the beam that the likelier of those came by."""

    blank: str
    char: str
    tokens: str
    parents: str


def _stay(graph: GraphWriter, kind: SelectKind, column: Column, children: str, whole: str) -> _Staying:
    """Each prefix by a blank, by its last character again, or out of the live prefix that is one shorter."""
    own = _of_last(graph, column)
    blank, char = graph.op("Add", whole, column.blank), graph.op("Add", "char_scores", own)
    source = _source(graph, graph.unsqueeze("last", 1), whole)
    given = graph.op("Add", source, graph.unsqueeze(own, 1))
    # Of the parents, on axis 1, there is one at most.
    given = graph.op("ReduceMax", graph.op("Where", children, given, dead(graph)), axes=[1], keepdims=0)
    beams = graph.constant([[beam] for beam in range(kind.beams)], "int32")
    shorter = graph.op("Where", children, beams, graph.constant(-1, "int32"))
    shorter = graph.op("ReduceMax", shorter, axes=[1], keepdims=0)
    from_shorter = graph.op("Greater", given, _add(graph, blank, char))
    itself = graph.constant([list(range(kind.beams))], "int32")
    return _Staying(
        blank=blank,
        char=_add(graph, char, given),
        tokens=graph.op("Where", from_shorter, "last", "blank"),
        parents=graph.op("Where", from_shorter, shorter, itself),
    )


def update_pool(graph: GraphWriter, kind: SelectKind, shared: Shared, found: Prefixes) -> dict[str, str]:
    """At the last column the live prefixes are the pool, of an image that is not done."""
    going_on = graph.op("Equal", "done", graph.constant([0], "int32"))
    enters = graph.op("And", graph.op("And", shared.at_limit, going_on), is_alive(graph, found.scores))
    if kind.trie:
        enters = graph.op("And", enters, _is_phrase(graph, found.state["nodes"]))
    zero = graph.op("Mul", found.tokens, graph.constant(0, "int32"))
    length = graph.op("Add", zero, shared.length)
    numbers = [graph.unsqueeze(name, 2) for name in (found.parents, length, found.tokens)]
    flat = graph.constant([0, 3 * kind.beams], "int64")
    new = graph.op("Reshape", graph.op("Concat", *numbers, axis=2), flat)
    thrice = graph.constant([beam for beam in range(kind.beams) for _ in range(3)], "int64")
    enters_thrice = graph.op(
        "Greater", graph.op("Gather", _flag(graph, enters), thrice, axis=1), _zero(graph)
    )
    return {
        "finished_scores": graph.op("Where", enters, found.scores, "finished_scores"),
        "finished_logprobs": graph.op("Where", enters, found.scores, "finished_logprobs"),
        "finished": graph.op("Where", enters_thrice, new, "finished"),
    }


def _children(graph: GraphWriter) -> str:
    """Whether live prefix j is live prefix i and its own last character, (B, K of i, K of j) bool."""
    last = graph.op("Sub", graph.unsqueeze("lengths", 2), graph.constant(1, "int32"))
    at_last = graph.op("Equal", "places", last)
    shorter = graph.op("Where", at_last, graph.constant(-1, "int32"), "prefixes")
    same = graph.op("Equal", graph.unsqueeze("prefixes", 2), graph.unsqueeze(shorter, 1))
    same = graph.op("ReduceMin", _flag(graph, same), axes=[3], keepdims=0)
    alive = is_alive(graph, "scores")
    longer = graph.op("And", alive, graph.op("Greater", "lengths", _zero(graph)))
    pair = graph.op("And", graph.unsqueeze(alive, 2), graph.unsqueeze(longer, 1))
    return graph.op("And", graph.op("Greater", same, _zero(graph)), pair)


def _of_last(graph: GraphWriter, column: Column) -> str:
    """The log-probability of each prefix's last character, (B, K); `DEAD` for the empty prefix."""
    known = graph.op("GreaterOrEqual", "last", _zero(graph))
    place = graph.op("Max", "last", _zero(graph))
    own = graph.op("GatherElements", column.characters, place, axis=1)
    return graph.op("Where", known, own, dead(graph))


def _source(graph: GraphWriter, tokens: str, whole: str) -> str:
    """What an extension by ``tokens`` (B, K or 1, n) goes out from, (B, K, n): by the character that a prefix
    ends in, only from the ways that end in a blank."""
    again = graph.op("Equal", tokens, graph.unsqueeze("last", 2))
    return graph.op("Where", again, graph.unsqueeze("blank_scores", 2), graph.unsqueeze(whole, 2))


def _extensions(
    graph: GraphWriter, kind: SelectKind, column: Column, children: str, whole: str
) -> tuple[str, str]:
    """Of each prefix the likeliest extensions that are no live prefix, (B, K, n): tokens, log-probabilities.

    Of 2 K characters at most K - 1 make another live prefix, and one is lowered because it comes again: the
    best K are always among the others.
    """
    every_beam = graph.constant([[[0]] * kind.beams], "int32")
    characters = graph.unsqueeze(column.characters, 1)
    if kind.trie:
        characters = graph.op("Where", in_trie(graph, "nodes"), characters, dead(graph))
    values, places = graph.top(characters, kind.per_beam, axis=2)
    tokens = graph.op("Add", graph.op("Cast", places, to=INT32), every_beam)
    source = _source(graph, tokens, whole)
    values = graph.op("Add", source, values)
    same = graph.op("Equal", graph.unsqueeze(tokens, 3), graph.unsqueeze("last", 1, 2))
    same = graph.op("And", same, graph.unsqueeze(children, 2))
    live = graph.op("ReduceMax", _flag(graph, same), axes=[3], keepdims=0)
    return tokens, graph.op("Where", graph.op("Greater", live, _zero(graph)), dead(graph), values)


def _remember(graph: GraphWriter, kind: SelectKind, tokens: str, parents: str) -> dict[str, str]:
    """The prefixes that were chosen."""
    stays = graph.op("Equal", tokens, "blank")
    rows = graph.unsqueeze(graph.op("Cast", parents, to=INT64), 2)
    before = graph.op("GatherND", "prefixes", rows, batch_dims=1)
    length = graph.op("GatherElements", "lengths", parents, axis=1)
    grows = graph.op("Not", stays)
    here = graph.op("Equal", "places", graph.unsqueeze(length, 2))
    here = graph.op("And", here, graph.unsqueeze(grows, 2))
    kept = {
        "prefixes": graph.op("Where", here, graph.unsqueeze(tokens, 2), before),
        "lengths": graph.op("Add", length, _flag(graph, grows)),
        "last": graph.op("Where", stays, graph.op("GatherElements", "last", parents, axis=1), tokens),
    }
    if kind.trie:
        nodes = graph.op("GatherElements", "nodes", parents, axis=1)
        further = graph.op("Add", graph.op("Gather", "trie_base", nodes), tokens)
        kept["nodes"] = graph.op("Where", stays, nodes, further)
    return kept


def _is_phrase(graph: GraphWriter, nodes: str) -> str:
    """Whether a phrase ends in each node, (B, K) bool."""
    end = graph.op("Gather", "end_tokens", graph.constant([0], "int64"))
    place = graph.op("Add", graph.op("Gather", "trie_base", nodes), end)
    return graph.op("Equal", graph.op("Gather", "trie_check", place), nodes)


def _add(graph: GraphWriter, one: str, other: str) -> str:
    """The logarithm of the sum of two probabilities that are given by theirs."""
    most = graph.op("Max", one, other)
    parts = [graph.op("Exp", graph.op("Sub", name, most)) for name in (one, other)]
    return graph.op("Add", most, graph.op("Log", graph.op("Add", *parts)))


def _flag(graph: GraphWriter, condition: str) -> str:
    return graph.op("Cast", condition, to=INT32)


def _zero(graph: GraphWriter) -> str:
    return graph.constant(0, "int32")
