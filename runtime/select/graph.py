"""The whole select graph, wired from its parts."""

from __future__ import annotations

from functools import lru_cache

from cnnrnn.runtime.onnx_graph import FLOAT32, INT32, INT64, GraphWriter
from cnnrnn.runtime.select import ctc
from cnnrnn.runtime.select.candidates import advance, best_candidates, without
from cnnrnn.runtime.select.group import Candidates, Group, Live, Shared, is_alive, is_end
from cnnrnn.runtime.select.kind import POOL, SelectKind, select_spec
from cnnrnn.runtime.select.pool import is_done, update_pool
from cnnrnn.runtime.select.sampling import advance_drawn, drawn_candidates


@lru_cache(maxsize=256)
def make_select(kind: SelectKind) -> bytes:
    """Make the select graph of a kind; `select_spec` lists its tensors.

    Returns:
        The serialised ONNX model: opset 17, IR version 8, a few kilobytes.

    Raises:
        MissingDependencyError: ``onnx`` is not installed.
    """
    if kind.ctc:
        return _make_ctc(kind)
    graph = GraphWriter()
    shared = Shared.of(graph, kind)
    made: dict[str, list[str]] = {}
    dones: list[str] = []
    faults: list[str] = []
    chosen: tuple[str, str] | None = None
    for number in range(kind.groups):
        group = Group.of(graph, kind, number, chosen)
        found, live, pool, done, faulty = _search(graph, kind, group, shared)
        parents = live.parents
        if group.first:
            parents = graph.op("Add", parents, graph.constant(group.first, "int32"))
        outcome = {"tokens": live.tokens, "parents": parents, "next_scores": live.scores}
        outcome |= {f"next_{name}": pool[name] for name in POOL}
        for name, tensor in outcome.items():
            made.setdefault(name, []).append(tensor)
        dones.append(done if kind.groups == 1 else graph.op("Or", graph.op("Not", group.open), done))
        faults.append(faulty)
        if number + 1 < kind.groups:
            chosen = _chosen(graph, kind, group, found, chosen)
    outputs = {
        name: tensors[0] if kind.groups == 1 else graph.op("Concat", *tensors, axis=1)
        for name, tensors in made.items()
    }
    outputs |= _end(graph, kind, shared, dones, faults)
    outputs |= _remember(graph, kind, outputs["tokens"], outputs["parents"])
    spec = select_spec("", kind)
    return graph.model(f"select_{kind.name}", spec.inputs, spec.outputs, outputs)


def _make_ctc(kind: SelectKind) -> bytes:
    """The graph of a search along columns, see `cnnrnn.runtime.select.ctc`."""
    graph = GraphWriter()
    shared = Shared.of(graph, kind)
    column = ctc.Column.of(graph)
    found = ctc.best_path(graph, column) if kind.beams == 1 else ctc.best_prefixes(graph, kind, column)
    kept = ctc.update_pool(graph, kind, shared, found) | found.state
    outputs = {"tokens": found.tokens, "parents": found.parents, "next_scores": found.scores}
    outputs |= {f"next_{name}": tensor for name, tensor in kept.items()}
    # All images have the same columns: only a fault ends one before the others.
    outputs |= _end(graph, kind, shared, [shared.at_limit], [column.faulty])
    spec = select_spec("", kind)
    return graph.model(f"select_{kind.name}", spec.inputs, spec.outputs, outputs)


def _search(
    graph: GraphWriter, kind: SelectKind, group: Group, shared: Shared
) -> tuple[Candidates, Live, dict[str, str], str, str]:
    """One step of one group: candidates, live beams, pool, whether it is done and faulty (B, 1)."""
    if kind.sampling:
        found, faulty = drawn_candidates(graph, kind, group, shared)
        live = advance_drawn(graph, found)
    else:
        found, faulty = best_candidates(graph, kind, group, shared)
        live = advance(graph, group, found)
    pool = update_pool(graph, kind, group, shared, found)
    return found, live, pool, is_done(graph, kind, shared, found, live, pool), faulty


def _chosen(
    graph: GraphWriter, kind: SelectKind, group: Group, found: Candidates, before: tuple[str, str] | None
) -> tuple[str, str]:
    """What this group and those before it chose, and whether it counts: not of a group that is done, or dead.

    It is the best W that do not end, at ``max_length`` too, where none of them lives on.
    """
    ranks = without(graph, found.ranks, is_end(graph, kind, found.tokens))
    ranks, best = graph.top(ranks, group.width, axis=1)
    tokens = graph.op("GatherElements", found.tokens, best, axis=1)
    counts = graph.op("And", is_alive(graph, ranks), group.open)
    weights = graph.op("Cast", counts, to=FLOAT32)
    if before is None:
        return tokens, weights
    return graph.op("Concat", before[0], tokens, axis=1), graph.op("Concat", before[1], weights, axis=1)


def _end(
    graph: GraphWriter, kind: SelectKind, shared: Shared, dones: list[str], faults: list[str]
) -> dict[str, str]:
    """Which images are done, by their groups or by a fault, and whether all are."""
    outputs = {"next_step": shared.length}
    zero, one = graph.constant([0], "int32"), graph.constant([1], "int32")
    done, faulty = dones[0], faults[0]
    for also in faults[1:]:
        faulty = graph.op("Or", faulty, also)
    if kind.groups > 1:
        columns = [graph.op("Cast", entry, to=INT32) for entry in dones]
        outputs["next_group_done"] = graph.op("Concat", *columns, axis=1)
        least = graph.op("ReduceMin", outputs["next_group_done"], axes=[1], keepdims=1)
        done = graph.op("Greater", least, zero)
    fault = graph.op("Add", shared.length, one)
    now = graph.op("Where", faulty, fault, graph.op("Cast", done, to=INT32))
    outputs["next_done"] = graph.op("Where", graph.op("Equal", "done", zero), now, "done")
    outputs["all_done"] = graph.op("ReduceMin", outputs["next_done"], axes=[0], keepdims=0)
    return outputs


def _remember(graph: GraphWriter, kind: SelectKind, tokens: str, parents: str) -> dict[str, str]:
    """What options have to know of the past, each live beam having taken over its parent's."""
    outputs: dict[str, str] = {}
    if kind.history or kind.coverage:
        rows = graph.unsqueeze(graph.op("Cast", parents, to=INT64), 2)
        if kind.history:
            kept = graph.slice(graph.op("GatherND", "history", rows, batch_dims=1), 2, 0, -1)
            outputs["next_history"] = graph.op("Concat", graph.unsqueeze(tokens, 2), kept, axis=2)
        if kind.coverage:
            covered = graph.op("Add", "coverage", "alignment")
            outputs["next_coverage"] = graph.op("GatherND", covered, rows, batch_dims=1)
    if kind.trie:
        bases = graph.op("Gather", "trie_base", "nodes")
        outputs["next_nodes"] = graph.op("Add", graph.op("GatherElements", bases, parents, axis=1), tokens)
    return outputs
