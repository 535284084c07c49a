"""The select graph: one step of beam search for a batch of images, as an ONNX graph without weights.

It follows the vectorised beam search of Transformers 5 (``GenerationMixin._beam_search``), image by image:

1. Log-probabilities of the next token are added to those of the K live beams, and the best
   C = (1 + E) K candidates kept, E being the number of end tokens: K of them at least do not end.
2. A candidate is complete when it ends, or when it has ``max_length`` tokens. Complete candidates among the
   first K go to the pool of finished hypotheses with score = log-probability / length**length_penalty, where
   length counts the end token; the pool keeps the best K.
3. The K best candidates that are not complete are the live beams of the next step.
4. The image is done at ``max_length``; when ``early_stopping`` is true and K hypotheses are finished; and
   when the best live beam cannot beat the worst of K finished ones, supposing it ended at its present
   length (``early_stopping`` false, or a length penalty that is not positive) or at ``max_length``
   (``"never"``). An image that is done keeps its pool whatever comes after.

Two choices differ from Transformers, both only where fewer than K beams have anything to say (V < C): a
beam that was never alive does not enter the pool, and an image without a live beam is done.

Nothing is copied per step but K numbers: a hypothesis is a pointer (beam, step, last token) into the
parents and tokens of the steps before, followed once at the end by `cnnrnn.runtime.backtrace`. There is no
Loop and no If, ranks are static, and integers are int32 but for the indices that TopK makes.

All normalisation is float32. The log-softmax is peak, subtract, exponential, sum and logarithm, with the
peak taken from TopK, since ONNX Runtime's ReduceLogSumExp takes longer than the rest of the graph.
"""

from __future__ import annotations

from functools import lru_cache

from cnnrnn.core.errors import OptionsError
from cnnrnn.core.manifest import GraphSpec, TensorSpec
from cnnrnn.core.search import MAX_BEAMS
from cnnrnn.runtime.onnx_graph import FLOAT32, INT32, GraphWriter

# Added to a beam's log-probability to take it out of the running; anything below DEAD / 2 is out of it.
DEAD = -1e9
# The score of an empty slot of the finished pool: below any score that a length penalty can make.
EMPTY = -1e30

# The codes of early_stopping, an input of the graph.
EARLY_STOPPING_CODES: dict[bool | str, int] = {False: 0, True: 1, "never": 2}

_POOL = ("finished_scores", "finished_logprobs", "finished_beams", "finished_steps", "finished_tokens")


def select_name(beams: int) -> str:
    """The manifest's name of the plain beam search of this width, such as ``"beam5"``."""
    return f"beam{beams}"


def select_spec(file: str, beams: int, *, end_count: int = 1) -> GraphSpec:
    """The tensors of the graph that `make_select` makes, for a manifest.

    Dimensions: B images, K = ``beams``, V the vocabulary, E = ``end_count``. Inputs:

    - ``logits`` (B, K, V) float32: of the next token.
    - ``scores`` (B, K) float32: log-probabilities of the live beams; 0 and K-1 times `DEAD` at the start.
    - ``finished_scores``, ``finished_logprobs`` (B, K) float32; ``finished_beams``, ``finished_steps``,
      ``finished_tokens`` (B, K) int32: the pool, best first. A slot is empty where ``finished_steps``, the
      number of tokens, is 0; then its score is `EMPTY`. ``finished_beams`` is the beam the last token,
      ``finished_tokens``, was added to.
    - ``done`` (B) int32; ``step`` (1) int32: tokens so far, 0 at the start.
    - ``max_length`` (B) int32, ``min_length`` (1) int32, ``length_penalty`` (1) float32, ``early_stopping``
      (1) int32 of `EARLY_STOPPING_CODES`, ``end_tokens`` (E) int32.

    Outputs: ``tokens``, ``parents`` (B, K) int32, the next token of each live beam and the beam it was added
    to; ``next_`` and the name for each of ``scores``, the pool, ``done`` and ``step``; ``all_done`` (1)
    int32.
    """
    pool = tuple(TensorSpec(name, _dtype(name), ("B", beams)) for name in _POOL)
    state = (TensorSpec("scores", "float32", ("B", beams)), *pool, TensorSpec("done", "int32", ("B",)))
    step = TensorSpec("step", "int32", (1,))
    inputs = (
        TensorSpec("logits", "float32", ("B", beams, "V")),
        *state,
        step,
        TensorSpec("max_length", "int32", ("B",)),
        TensorSpec("min_length", "int32", (1,)),
        TensorSpec("length_penalty", "float32", (1,)),
        TensorSpec("early_stopping", "int32", (1,)),
        TensorSpec("end_tokens", "int32", (end_count,)),
    )
    outputs = (
        TensorSpec("tokens", "int32", ("B", beams)),
        TensorSpec("parents", "int32", ("B", beams)),
        *(TensorSpec(f"next_{spec.name}", spec.dtype, spec.shape) for spec in (*state, step)),
        TensorSpec("all_done", "int32", (1,)),
    )
    return GraphSpec(file, inputs, outputs)


@lru_cache(maxsize=64)
def make_select(beams: int, *, end_count: int = 1, vocabulary: int | None = None) -> bytes:
    """Make the select graph of a beam width; `select_spec` lists its tensors.

    Args:
        beams: K, 1 to 32; 1 is greedy search.
        end_count: E, how many tokens end a caption.
        vocabulary: V, needed only where it is below C + E, the candidates taken from each beam; larger
            vocabularies share one graph.

    Returns:
        The serialised ONNX model: opset 17, IR version 8, a few kilobytes.

    Raises:
        OptionsError: ``beams`` is outside 1 to 32, or the vocabulary holds nothing but end tokens.
        MissingDependencyError: ``onnx`` is not installed.
    """
    if not 1 <= beams <= MAX_BEAMS:
        raise OptionsError(f"beams={beams} is outside 1 to {MAX_BEAMS}")
    if end_count < 1 or (vocabulary is not None and vocabulary <= end_count):
        raise OptionsError(
            f"{end_count} end tokens in a vocabulary of {vocabulary}; one at least must not end"
        )
    graph = GraphWriter()
    candidates = (1 + end_count) * beams
    per_beam = candidates + end_count if vocabulary is None else min(candidates + end_count, vocabulary)
    logprobs, tokens, parents = _candidates(graph, beams, candidates, per_beam)
    length = graph.op("Add", "step", graph.constant([1], "int32"), name="next_step")
    at_limit = graph.op("Not", graph.op("Less", length, "max_length"))
    complete = graph.op("Or", _is_end(graph, tokens), graph.op("Unsqueeze", at_limit, _axis(graph, 1)))
    _advance(graph, beams, logprobs, tokens, parents, complete)
    _update_pool(graph, beams, logprobs, tokens, parents, complete, length)
    _decide_done(graph, length, at_limit)
    spec = select_spec("", beams, end_count=end_count)
    return graph.model(f"select_{select_name(beams)}", spec.inputs, spec.outputs)


def _candidates(graph: GraphWriter, beams: int, count: int, per_beam: int) -> tuple[str, str, str]:
    """The best continuations of all beams: log-probabilities, tokens and parents (B, C), best first."""
    logits, tokens = graph.ops(
        "TopK", "logits", graph.constant([per_beam], "int64"), names=(None, None), axis=2
    )
    peak = _slice(graph, logits, axis=2, end=1)
    mass = graph.op(
        "ReduceSum", graph.op("Exp", graph.op("Sub", "logits", peak)), _axis(graph, 2), keepdims=1
    )
    own = graph.op("Sub", graph.op("Sub", logits, peak), graph.op("Log", mass))
    total = graph.op("Add", own, graph.op("Unsqueeze", "scores", _axis(graph, 2)))
    tokens = graph.op("Cast", tokens, to=INT32)
    too_early = graph.op("And", _is_end(graph, tokens), graph.op("Less", "step", "min_length"))
    total = graph.op("Where", too_early, graph.constant(DEAD, "float32"), total)
    flat = graph.constant([0, beams * per_beam], "int64")
    logprobs, places = graph.ops(
        "TopK",
        graph.op("Reshape", total, flat),
        graph.constant([count], "int64"),
        names=(None, None),
        axis=1,
    )
    chosen = graph.op("GatherElements", graph.op("Reshape", tokens, flat), places, axis=1)
    beam_of_place = [beam for beam in range(beams) for _ in range(per_beam)]
    return logprobs, chosen, graph.op("Gather", graph.constant(beam_of_place, "int32"), places)


def _advance(graph: GraphWriter, beams: int, logprobs: str, tokens: str, parents: str, complete: str) -> None:
    """The live beams of the next step: the K best candidates that are not complete."""
    out = graph.op("Add", logprobs, graph.constant(DEAD, "float32"))
    _, best = graph.ops(
        "TopK",
        graph.op("Where", complete, out, logprobs),
        graph.constant([beams], "int64"),
        names=("next_scores", None),
        axis=1,
    )
    graph.op("GatherElements", tokens, best, name="tokens", axis=1)
    graph.op("GatherElements", parents, best, name="parents", axis=1)


def _update_pool(
    graph: GraphWriter, beams: int, logprobs: str, tokens: str, parents: str, complete: str, length: str
) -> None:
    """The best K of the pool and of the complete ones among the first K candidates."""
    logprobs, tokens, parents, complete = (
        _slice(graph, name, axis=1, end=beams) for name in (logprobs, tokens, parents, complete)
    )
    alive = graph.op("Greater", logprobs, graph.constant(DEAD / 2, "float32"))
    open_ = graph.op("Unsqueeze", graph.op("Equal", "done", graph.constant([0], "int32")), _axis(graph, 1))
    enters = graph.op("And", graph.op("And", complete, alive), open_)
    scores = graph.op("Where", enters, graph.op("Div", logprobs, _penalty(graph, length)), _empty(graph))
    steps = graph.op("Where", enters, length, graph.constant([0], "int32"))
    merged = graph.op("Concat", "finished_scores", scores, axis=1)
    _, best = graph.ops(
        "TopK", merged, graph.constant([beams], "int64"), names=("next_finished_scores", None), axis=1
    )
    for name, new in zip(_POOL[1:], (logprobs, parents, steps, tokens), strict=True):
        both = graph.op("Concat", name, new, axis=1)
        graph.op("GatherElements", both, best, name=f"next_{name}", axis=1)


def _decide_done(graph: GraphWriter, length: str, at_limit: str) -> None:
    """Whether each image is done, and whether all are."""
    zero = graph.constant([0], "int32")
    never = graph.op("Equal", "early_stopping", graph.constant([EARLY_STOPPING_CODES["never"]], "int32"))
    grows = graph.op("And", never, graph.op("Greater", "length_penalty", graph.constant([0], "float32")))
    hoped_length = graph.op("Where", grows, "max_length", length)
    best = graph.op("Squeeze", _slice(graph, "next_scores", axis=1, end=1), _axis(graph, 1))
    hoped = graph.op("Div", best, _penalty(graph, hoped_length))
    full = graph.op("Greater", graph.op("ReduceMin", "next_finished_steps", axes=[1], keepdims=0), zero)
    worst = graph.op("ReduceMin", "next_finished_scores", axes=[1], keepdims=0)
    alive = graph.op("Greater", best, graph.constant(DEAD / 2, "float32"))
    hopeful = graph.op(
        "And", alive, graph.op("Greater", hoped, graph.op("Where", full, worst, _empty(graph)))
    )
    stops = graph.op("Equal", "early_stopping", graph.constant([EARLY_STOPPING_CODES[True]], "int32"))
    reached = graph.op("Or", at_limit, graph.op("And", full, stops))
    now = graph.op("Or", reached, graph.op("Not", hopeful))
    was = graph.op("Greater", "done", zero)
    graph.op("Cast", graph.op("Or", was, now), name="next_done", to=INT32)
    graph.op("ReduceMin", "next_done", name="all_done", axes=[0], keepdims=1)


def _penalty(graph: GraphWriter, length: str) -> str:
    return graph.op("Pow", graph.op("Cast", length, to=FLOAT32), "length_penalty")


def _is_end(graph: GraphWriter, tokens: str) -> str:
    """Which tokens end a caption, bool of the shape of ``tokens``."""
    same = graph.op("Equal", graph.op("Unsqueeze", tokens, _axis(graph, -1)), "end_tokens")
    any_ = graph.op("ReduceMax", graph.op("Cast", same, to=INT32), axes=[-1], keepdims=0)
    return graph.op("Greater", any_, graph.constant([0], "int32"))


def _slice(graph: GraphWriter, name: str, *, axis: int, end: int) -> str:
    return graph.op(
        "Slice", name, graph.constant([0], "int64"), graph.constant([end], "int64"), _axis(graph, axis)
    )


def _axis(graph: GraphWriter, axis: int) -> str:
    return graph.constant([axis], "int64")


def _empty(graph: GraphWriter) -> str:
    return graph.constant(EMPTY, "float32")


def _dtype(name: str) -> str:
    return "float32" if name in ("finished_scores", "finished_logprobs") else "int32"
