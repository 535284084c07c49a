"""The select graph: one step of a search for a batch of images, as an ONNX graph without weights.

It follows the vectorised beam search of Transformers 5 (``GenerationMixin._beam_search``), image by image:

1. Log-probabilities of the next token, changed by the options that are on, are added to those of the K live
   beams, and the best C = (1 + E) K candidates kept, E being the number of end tokens: K of them at least do
   not end. Of equal ones the lowest token comes first, then the lowest beam.
2. A candidate is complete when it ends, or when it has ``max_length`` tokens. Complete candidates among the
   first K go to the pool of finished hypotheses with score = log-probability / length**length_penalty, where
   length counts the end token; the pool keeps the best K. The divisors of all lengths are an input.
3. The K best candidates that are not complete are the live beams of the next step.
4. The image is done at ``max_length``; when ``early_stopping`` is true and K hypotheses are finished; and
   when the best live beam cannot beat the worst of K finished ones, supposing it ended at its present
   length (``early_stopping`` false, or a length penalty that is not positive) or at ``max_length``
   (``"never"``). An image that is done keeps its pool whatever comes after.

Two choices differ from Transformers, both only where fewer than K beams have anything to say (V < C, or most
tokens are forbidden): a beam that was never alive does not enter the pool, and an image without a live beam
is done. Groups follow Transformers 4.56, the last version to have them; sampling is drawn beam by beam.

Logits of a live beam that are NaN, +inf, or all -inf, are a fault of that image, which is then done; -inf for
a token means that it never comes.

Nothing is copied per step but what an option has to remember: a hypothesis is a pointer (beam, step, last
token) into the parents and tokens of the steps before, followed once at the end by
`cnnrnn.runtime.backtrace`. There is no Loop and no If, ranks are static, and integers are int32 but for the
indices that TopK makes and GatherND takes. All normalisation is float32. Log-probabilities are made from the
likeliest token's, which a Softmax gives, or, where options change logits, by peak, subtraction, exponential,
sum and logarithm: ONNX Runtime's ReduceLogSumExp takes longer than the rest of the graph.

| file | idea |
|---|---|
| ``kind`` | what changes the graph's structure, and the tensors that it then has |
| ``graph`` | the whole, wired |
| ``scores`` | log-probabilities, and what changes them: repetition, bans, trie, diversity |
| ``candidates`` | the best continuations of the live beams |
| ``sampling`` | the continuation that is drawn for each beam |
| ``pool`` | finished hypotheses, and whether the image is done |
| ``ctc`` | the search along the columns of a text line, which is a graph of its own |
"""

from cnnrnn.runtime.select.graph import make_select
from cnnrnn.runtime.select.kind import (
    DEAD,
    EMPTY,
    POOL,
    STOPS,
    SelectKind,
    constant_specs,
    select_spec,
    state_specs,
)

__all__ = [
    "DEAD",
    "EMPTY",
    "POOL",
    "STOPS",
    "SelectKind",
    "constant_specs",
    "make_select",
    "select_spec",
    "state_specs",
]
