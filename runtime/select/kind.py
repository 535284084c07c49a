"""What makes one select graph differ from another, and the tensors that each has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cnnrnn.core.errors import OptionsError
from cnnrnn.core.manifest import GraphSpec, TensorSpec
from cnnrnn.core.search import MAX_BEAMS, MAX_LENGTH, SearchOptions
from cnnrnn.core.search_limits import MAX_TOP_K

# Added to a beam's log-probability to take it out of the running; anything below DEAD / 2 is out of it.
DEAD = -1e9
# The score of an empty slot of the finished pool: below any score that a length penalty can make.
EMPTY = -1e30

# What a live beam may be hoped to score, where it is stopped once the pool is full: more than an empty slot.
STOPS = EMPTY / 2

# The pool of finished hypotheses, by tensor: how many numbers each has of a hypothesis.
POOL = {"finished_scores": 1, "finished_logprobs": 1, "finished": 3}


@dataclass(frozen=True)
class SelectKind:
    """The structure of a select graph: everything else about a search is a number among its inputs.

    Attributes:
        beams: K, 1 to 32; 1 is greedy search.
        end_count: E, how many tokens end a caption.
        groups: G, of K / G beams each.
        repetition, suppress, bans, coverage, prefix, trie: whether the option is on: a repetition penalty,
            tokens that never come, sequences that never come, a coverage penalty, forced tokens, phrases.
        ngram: n, of the n-grams that must not come twice; 0 is off.
        sampling: draw instead of searching.
        top_k: how many tokens to draw from; 0 is all.
        nucleus: whether ``top_p`` is on.
        vocabulary: V where the graph depends on it: where it is below the candidates that are taken from
            each beam, or the tokens that ``top_p`` ranks. None elsewhere, so that larger vocabularies share a
            graph.
        ctc: search along the columns of a text line, see `cnnrnn.runtime.select.ctc`; of the options only
            phrases and suppressed tokens go with it.
    """

    beams: int
    end_count: int = 1
    groups: int = 1
    repetition: bool = False
    ngram: int = 0
    suppress: bool = False
    bans: bool = False
    coverage: bool = False
    prefix: bool = False
    trie: bool = False
    sampling: bool = False
    top_k: int = 0
    nucleus: bool = False
    vocabulary: int | None = None
    ctc: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.beams <= MAX_BEAMS:
            raise OptionsError(f"beams={self.beams} is outside 1 to {MAX_BEAMS}")
        if self.end_count < 1 or (self.vocabulary is not None and self.vocabulary <= self.end_count):
            raise OptionsError(
                f"{self.end_count} end tokens in a vocabulary of {self.vocabulary}; one at least must not end"
            )
        if self.ctc and self.trie and self.beams == 1:
            raise OptionsError("beams=1 with phrases: the best path of CTC knows no phrases; give 2 or more")
        if self.groups < 1 or self.beams % self.groups:
            raise OptionsError(f"groups={self.groups} does not divide beams={self.beams}")
        most = MAX_TOP_K if self.nucleus and not self.top_k else self.wanted_per_beam
        if self.vocabulary is not None and self.vocabulary >= most:
            object.__setattr__(self, "vocabulary", None)

    @classmethod
    def of(
        cls,
        options: SearchOptions,
        *,
        end_count: int = 1,
        vocabulary: int | None = None,
        ctc: bool = False,
    ) -> SelectKind:
        """The structure that these options need.

        Args:
            options: checked already.
            end_count: E, how many tokens end a caption.
            vocabulary: V, needed only where it may be below the candidates taken from each beam.
            ctc: whether a bundle's step gives the columns of a text line.
        """
        if ctc:
            trie = options.phrases is not None
            return cls(options.beams, end_count, trie=trie, vocabulary=vocabulary, ctc=True)
        top_k = options.top_k if vocabulary is None or options.top_k < vocabulary else 0
        return cls(
            beams=options.beams,
            end_count=end_count,
            groups=options.num_beam_groups,
            repetition=options.repetition_penalty != 1,
            ngram=options.no_repeat_ngram_size,
            suppress=bool(options.suppress_tokens),
            bans=bool(options.bad_words_ids),
            coverage=options.coverage_penalty != 0,
            prefix=any(options.prefixes(1)) if options.prefix else False,
            trie=options.phrases is not None,
            sampling=options.do_sample,
            top_k=top_k,
            nucleus=options.top_p != 1,
            vocabulary=vocabulary,
        )

    @property
    def name(self) -> str:
        """The name in a manifest: ``"beam5"`` for a plain search, ``"beam5-ngram3-trie"``, ``"ctc5"``."""
        if self.ctc:
            return f"ctc{self.beams}" + "-trie" * self.trie
        flags = ("repetition", "suppress", "bans", "coverage", "prefix", "trie")
        numbers = (("groups", self.groups > 1), ("ngram", self.ngram > 0))
        parts = [f"{name}{getattr(self, name)}" for name, on in numbers if on]
        parts += [name for name in flags if getattr(self, name)]
        if self.sampling:
            parts += ["sample", *([f"top{self.top_k}"] if self.top_k else []), *(["nucleus"] * self.nucleus)]
        return "-".join([f"beam{self.beams}", *parts])

    @property
    def history(self) -> bool:
        """Whether the tokens so far are an input of the graph."""
        return self.repetition or self.ngram > 0 or self.bans

    @property
    def width(self) -> int:
        """Beams of one group."""
        return self.beams // self.groups

    @property
    def candidates(self) -> int:
        """C, how many continuations a group keeps: of C, as many as its beams do not end."""
        return (1 + self.end_count) * self.width

    @property
    def wanted_per_beam(self) -> int:
        """Continuations taken from one beam: C are left when every end token is taken out.

        Of CTC as many that the K best are among them, see `cnnrnn.runtime.select.ctc`.
        """
        if self.ctc:
            return 2 * self.beams if self.beams > 1 else 1
        return self.candidates + self.end_count

    @property
    def per_beam(self) -> int:
        """Continuations taken from one beam, no more than there are."""
        return min(self.wanted_per_beam, self.vocabulary or self.wanted_per_beam)

    @property
    def ranked(self) -> int:
        """How many of the likeliest tokens top-k and top-p sort."""
        return self.top_k or min(MAX_TOP_K, self.vocabulary or MAX_TOP_K)

    @property
    def raw(self) -> bool:
        """Whether tokens are chosen by changed logits, and scored by the model's own log-probabilities."""
        return self.repetition and (self.beams == 1 or self.sampling)


def state_specs(kind: SelectKind) -> Iterator[TensorSpec]:
    """The search's state: each is an input, and an output with ``next_`` before its name."""
    beams = kind.beams
    yield TensorSpec("scores", "float32", ("B", beams))
    for name, numbers in POOL.items():
        yield TensorSpec(name, "float32" if numbers == 1 else "int32", ("B", numbers * beams))
    yield TensorSpec("done", "int32", ("B", 1))
    if kind.ctc:
        yield TensorSpec("last", "int32", ("B", beams))
    if kind.ctc and beams > 1:
        yield TensorSpec("blank_scores", "float32", ("B", beams))
        yield TensorSpec("char_scores", "float32", ("B", beams))
        yield TensorSpec("prefixes", "int32", ("B", beams, "T"))
        yield TensorSpec("lengths", "int32", ("B", beams))
    if kind.groups > 1:
        yield TensorSpec("group_done", "int32", ("B", kind.groups))
    if kind.history:
        yield TensorSpec("history", "int32", ("B", beams, "T"))
    if kind.coverage:
        yield TensorSpec("coverage", "float32", ("B", beams, "P"))
    if kind.trie:
        yield TensorSpec("nodes", "int32", ("B", beams))
    yield TensorSpec("step", "int32", (1,))


def constant_specs(kind: SelectKind) -> Iterator[TensorSpec]:
    """The inputs that stay the same from step to step."""
    yield TensorSpec("max_length", "int32", ("B", 1))
    if kind.ctc:
        yield from _ctc_constants(kind)
        return
    yield TensorSpec("min_length", "int32", (1,))
    yield TensorSpec("divisors", "float32", (MAX_LENGTH + 1,))
    yield TensorSpec("reach", "int32", ("B", 1))
    yield TensorSpec("ceiling", "float32", (1,))
    yield TensorSpec("end_tokens", "int32", (kind.end_count,))
    if kind.groups > 1:
        yield TensorSpec("diversity_penalty", "float32", (1,))
    if kind.repetition:
        yield TensorSpec("repetition_penalty", "float32", (1,))
    if kind.suppress:
        yield TensorSpec("suppressed", "float32", ("V",))
    if kind.bans:
        yield TensorSpec("ban_contexts", "int32", ("N", "T"))
        yield TensorSpec("ban_tokens", "int32", ("N",))
    if kind.coverage:
        yield TensorSpec("coverage_penalty", "float32", (1,))
    if kind.prefix:
        yield TensorSpec("prefix", "int32", ("B", "T"))
    if kind.trie:
        yield from _TRIE
    if kind.sampling:
        yield TensorSpec("uniforms", "float32", ("B", kind.beams, "T"))
        yield TensorSpec("temperature", "float32", (1,))
        yield TensorSpec("min_p", "float32", (1,))
        if kind.nucleus:
            yield TensorSpec("top_p", "float32", (1,))


_TRIE = (
    TensorSpec("trie_base", "int32", ("M",)),
    TensorSpec("trie_check", "int32", ("M",)),
    TensorSpec("token_ids", "int32", ("V",)),
)


def _ctc_constants(kind: SelectKind) -> Iterator[TensorSpec]:
    yield TensorSpec("suppressed", "float32", ("V",))
    yield TensorSpec("blank", "int32", (1,))
    if kind.beams > 1:
        yield TensorSpec("places", "int32", ("T",))
    if kind.trie:
        yield TensorSpec("end_tokens", "int32", (kind.end_count,))
        yield from _TRIE


def select_spec(file: str, kind: SelectKind) -> GraphSpec:
    """The tensors of the graph that `make_select` makes, for a manifest.

    Dimensions: B images, K beams, G groups of them, V the vocabulary, E end tokens, P positions of the
    alignment, T one more than the longest ``max_length``, N forbidden sequences, M places of a trie.

    Inputs of every graph:

    - ``logits`` (B, K, V) float32: of the next token.
    - ``scores`` (B, K) float32: log-probabilities of the live beams; at the start 0 for the first of each
      group (for all where they are drawn) and `DEAD` for the others.
    - ``finished_scores``, ``finished_logprobs`` (B, K) float32 and ``finished`` (B, 3 K) int32: the pool,
      best first within each group. The three integers of a hypothesis are the beam that its last token was
      added to, how many tokens it has, and the last token. A slot with 0 tokens is empty, its score `EMPTY`.
    - ``done`` (B, 1) int32: 0 while an image goes on, 1 when it is done, and 1 more than the number of the
      step, from 1, in which its logits were not finite. ``step`` (1) int32: tokens so far, 0 at the start.
    - ``max_length`` (B, 1) int32, ``min_length`` (1) int32, ``end_tokens`` (E) int32.
    - ``divisors`` (1025) float32: by length, what a log-probability is divided by for the length penalty.
    - ``reach`` (B, 1) int32: the length that the best live beam is supposed to end at, if it is not longer.
      ``ceiling`` (1) float32: what it is hoped to score at most, `STOPS` where a full pool ends the search.

    Inputs of options:

    - ``history`` (B, K, T) int32, for repetition, n-grams and bans: the tokens so far, the last one first,
      the start token last; -1 after it.
    - ``repetition_penalty`` (1) float32. ``suppressed`` (V) float32: 0, or `DEAD` for a token that never
      comes. ``ban_contexts`` (N, T) and ``ban_tokens`` (N) int32: a token, and those before it, the last one
      first, after which it never comes; -1 after them.
    - ``alignment``, ``coverage`` (B, K, P) float32: of this step, and the sum of those before;
      ``coverage_penalty`` (1) float32.
    - ``prefix`` (B, T) int32: the token that each step has to give, or -1.
    - ``nodes`` (B, K) int32: each beam's node of the trie; ``trie_base``, ``trie_check`` (M) int32, see
      `cnnrnn.core.phrases`; ``token_ids`` (V) int32: 0, 1, 2 and so on.
    - ``group_done`` (B, G) int32; ``diversity_penalty`` (1) float32.
    - ``uniforms`` (B, K, T) float32 in [0, 1), multiples of 2**-23: what each step draws with;
      ``temperature``, ``min_p``, ``top_p`` (1) float32.

    Inputs of CTC, which has of those above ``logits``, ``scores``, the pool, ``done``, ``step``,
    ``max_length`` (the columns), ``suppressed`` (`DEAD` for the blank and all that is no character, too), and
    the trie's:

    - ``blank`` (1) int32, its token. ``last`` (B, K) int32: each prefix's last character, -1 at the start; of
      one beam the token of the column before.
    - ``blank_scores``, ``char_scores`` (B, K) float32: log-probabilities of the ways to a prefix that end in
      a blank and in its last character. ``prefixes`` (B, K, T) int32, -1 after their ``lengths`` (B, K)
      int32.
    - ``places`` (T) int32: 0, 1, 2 and so on.

    Outputs: ``tokens``, ``parents`` (B, K) int32, the next token of each live beam and the beam it was added
    to; ``next_`` and the name for each of ``scores``, the pool, ``done``, ``step`` and, where they are,
    ``group_done``, ``history``, ``coverage``, ``nodes`` and the state of CTC; ``all_done`` (1) int32, above 0
    when all are.
    """
    beams, states = kind.beams, tuple(state_specs(kind))
    logits = TensorSpec("logits", "float32", ("B", beams, "V"))
    alignment = (TensorSpec("alignment", "float32", ("B", beams, "P")),) if kind.coverage else ()
    outputs = (
        TensorSpec("tokens", "int32", ("B", beams)),
        TensorSpec("parents", "int32", ("B", beams)),
        *(TensorSpec(f"next_{spec.name}", spec.dtype, spec.shape) for spec in states),
        TensorSpec("all_done", "int32", (1,)),
    )
    return GraphSpec(file, (logits, *alignment, *states, *constant_specs(kind)), outputs)
