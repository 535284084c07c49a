"""What `benchmarks.select` compares: the search and Transformers' over free decoders, and over a real one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from transformers import GenerationConfig, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from cnnrnn.core.manifest import GraphSpec, ImageSpec, Manifest, SearchDefaults, VocabularySpec
from cnnrnn.core.phrases import Phrases
from cnnrnn.core.search import SearchOptions
from cnnrnn.export.onnx_graph import step_graph
from cnnrnn.export.signature import trace_signature
from cnnrnn.export.tidy import graph_bytes
from cnnrnn.models import Captioner, ModelConfig
from cnnrnn.runtime.backend import Encoded, Stepped, Tensor, Tensors
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.graphs import Graphs
from cnnrnn.runtime.loop import SpecialTokens, decode
from cnnrnn.runtime.onnx_graph import FLOAT32, GraphWriter
from cnnrnn.runtime.ort_cpu import OrtCpuBackend
from cnnrnn.runtime.select import SelectKind

STEPS = 20
START, END = 0, 2
SPECIAL = SpecialTokens(START, (END,))
SIDE = 224

# As many as torch takes by itself.
ALL_THREADS = torch.get_num_threads()
TRIALS = 2


@dataclass(frozen=True)
class Variant:
    """One setting of the search: our options, and the arguments of ``generate`` that mean the same."""

    ours: dict[str, Any]
    theirs: dict[str, Any]


VARIANTS = {
    "plain": Variant({}, {}),
    "repetition penalty": Variant({"repetition_penalty": 1.2}, {"repetition_penalty": 1.2}),
    "no 3-gram twice": Variant({"no_repeat_ngram_size": 3}, {"no_repeat_ngram_size": 3}),
    "two banned sequences": Variant(
        {"bad_words_ids": ((5, 6), (7, 8, 9))}, {"bad_words_ids": [[5, 6], [7, 8, 9]]}
    ),
    "1,000 phrases": Variant({"phrases": "made for the size"}, {}),
    "top-k and top-p": Variant(
        {"do_sample": True, "top_k": 50, "top_p": 0.9}, {"do_sample": True, "top_k": 50, "top_p": 0.9}
    ),
}


@lru_cache(maxsize=1)
def captioner(vocabulary: int) -> OrtCpuBackend:
    """A ResNet-50 captioner (LSTM 512, attention over 49 positions), random weights, as the runtime runs it.

    Its encoder is left out: the step is given memory of the right shapes.
    """
    torch.manual_seed(0)
    config = ModelConfig(
        encoder="resnet50", hidden=512, embedding=512, attention="additive", attention_size=512
    )
    model = Captioner(config, vocabulary).eval()
    image = ImageSpec(SIDE, SIDE, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    graph, signature = step_graph(model, trace_signature(model, image))
    encoder = GraphSpec("encoder", signature.encoder_inputs(), signature.encoder_outputs())
    step = GraphSpec("step", signature.step_inputs(), signature.step_outputs())
    manifest = Manifest(
        name="benchmark",
        image=image,
        vocabulary=VocabularySpec(vocabulary, 1, START, (END,), None),
        search=SearchDefaults(max_beams=32),
        precisions={"fp32": {"encoder": encoder, "step": step}},
        select={},
    )
    files = {"encoder": _anything(encoder), "step": graph_bytes(graph)}
    return OrtCpuBackend(Graphs(manifest, "fp32", files.__getitem__))


def _anything(spec: GraphSpec) -> bytes:
    """An encoder that looks at nothing: random numbers of the right shapes."""
    graph, random = GraphWriter(), np.random.default_rng(0)
    seen = graph.op("ReduceMean", graph.op("Cast", "image", to=FLOAT32), axes=[1, 2, 3], keepdims=0)
    nothing = graph.op("Mul", seen, graph.constant(0, "float32"))
    for tensor in spec.outputs:
        sides = [int(side) for side in tensor.shape[1:]]
        shaped = graph.op("Reshape", nothing, graph.constant([-1, *(1 for _ in sides)], "int64"))
        graph.op("Add", graph.constant(random.normal(size=(1, *sides)), "float32"), shaped, name=tensor.name)
    return graph.model("encoder", spec.inputs, spec.outputs)


class FreeDecoder:
    """A backend whose step costs nothing: always the same logits (1, K, V). It searches as another does."""

    name, precision = "free", "fp32"

    def __init__(self, searcher: OrtCpuBackend, beams: int) -> None:
        self.vocabulary = searcher.vocabulary
        self.select, self.prepare, self.bind_select = searcher.select, searcher.prepare, searcher.bind_select
        self.from_host, self.to_host = searcher.from_host, searcher.to_host
        logits = random_logits(beams, self.vocabulary)[None]
        self.logits: Tensor = onnxruntime.OrtValue.ortvalue_from_numpy(logits)

    def encode(self, images: NDArray[np.uint8], questions: object = None) -> Encoded:
        return Encoded({}, {})

    def widen(self, state: Mapping[str, Tensor], beams: int) -> Tensors:
        return dict(state)

    def step(self, tokens: Tensor, parents: Tensor, state: Tensors, memory: Tensors) -> Stepped:
        return Stepped(self.logits, {}, None)

    def close(self) -> None:
        """The searcher is another's."""


class FreeModel(PreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """The peer's free decoder: the same logits (R, 1, V) for every prefix; it notes when it was asked."""

    config_class = PretrainedConfig
    main_input_name = "input_ids"

    def __init__(self, beams: int, vocabulary: int) -> None:
        super().__init__(PretrainedConfig(vocab_size=vocabulary, is_encoder_decoder=False, use_cache=False))
        self.anchor = torch.nn.Parameter(torch.zeros(1))  # generate asks a model for its device
        self.logits = torch.from_numpy(random_logits(beams, vocabulary)).unsqueeze(1)
        self.asked: list[float] = []

    def forward(self, input_ids: torch.Tensor, **unused: Any) -> CausalLMOutput:
        self.asked.append(time.perf_counter())
        return CausalLMOutput(logits=self.logits[: len(input_ids)])

    def prepare_inputs_for_generation(self, input_ids: torch.Tensor, **unused: Any) -> dict[str, Any]:
        return {"input_ids": input_ids}


@dataclass(frozen=True)
class Times:
    """Of one answer, milliseconds a step: the search alone, and all that is not the decoder."""

    search_ms: float
    whole_ms: float


@dataclass(frozen=True)
class Contestants:
    """One answer of `STEPS` steps each: ours and the peer's over free decoders, and ours over a real one,
    which gives the milliseconds a step of its select and of its decoder."""

    ours: Callable[[], Times]
    peers: Callable[[], Times]
    real: Callable[[], tuple[float, float]]


def contestants(beams: int, vocabulary: int, variant: Variant) -> Contestants:
    """Those of one setting."""
    ours, allowed = dict(variant.ours), None
    if "phrases" in ours:
        ours["phrases"], allowed = _phrases(vocabulary)
    options = SearchOptions(beams, STEPS, **ours)
    endless = SearchOptions(beams, STEPS, STEPS, **ours)
    searcher = captioner(vocabulary)
    free = FreeDecoder(searcher, beams)
    picture, small = np.zeros((1, SIDE, SIDE, 3), np.uint8), np.zeros((1, 1, 1, 3), np.uint8)
    searcher.prepare(SelectKind.of(options, vocabulary=vocabulary))
    model = FreeModel(beams, vocabulary).eval()
    sampling = bool(variant.theirs.get("do_sample"))
    config = GenerationConfig(
        num_beams=1 if sampling else beams,
        num_return_sequences=beams if sampling else 1,
        max_new_tokens=STEPS,
        eos_token_id=END,
        pad_token_id=1,
        use_cache=False,
        **variant.theirs,
    )
    start = torch.full((1, 1), START)

    def we() -> Times:
        clock = Clock()
        decode(free, small, options, SPECIAL, clock)
        return Times(clock.stages_ms["select"] / STEPS, clock.total_ms / STEPS)

    def they() -> Times:
        model.asked.clear()
        started = time.perf_counter()
        model.generate(start, generation_config=config, prefix_allowed_tokens_fn=allowed)
        ended = time.perf_counter()
        # From the first answer of the model on: what it is given is made ready before.
        return Times(1e3 * (ended - model.asked[0]) / STEPS, 1e3 * (ended - started) / STEPS)

    def real() -> tuple[float, float]:
        clock = Clock()
        decode(searcher, picture, endless, SPECIAL, clock)
        return clock.stages_ms["select"] / STEPS, clock.stages_ms["step"] / STEPS

    return Contestants(we, they, real)


def give_peer_its_best_threads(rivals: Contestants) -> int:
    """Set torch's threads to one or to all, whichever the peer answers sooner with, and say which that is.

    Where the processor has anything else to do, two threads that wait for one another can take ten times as
    long as one, and go on spinning while it is the others' turn.
    """

    def took_ms(threads: int) -> float:
        torch.set_num_threads(threads)
        return min(rivals.peers().whole_ms for _ in range(TRIALS))

    best = min((1, ALL_THREADS), key=took_ms)
    torch.set_num_threads(best)
    return best


def random_logits(beams: int, vocabulary: int) -> NDArray[np.float32]:
    """(K, V), with the end token out of reach: every answer has all its steps."""
    logits = np.random.default_rng(0).normal(size=(beams, vocabulary)).astype(np.float32)
    logits[:, END] = -1e4
    return logits


def _phrases(vocabulary: int) -> tuple[Phrases, Callable[[int, torch.Tensor], list[int]]]:
    """1,000 phrases of 20 tokens, as our tables and as the peer's function over a dictionary of prefixes."""
    random = np.random.default_rng(1)
    listed = [tuple(random.integers(3, vocabulary, STEPS).tolist()) for _ in range(1000)]
    after: dict[tuple[int, ...], set[int]] = {}
    for phrase in listed:
        for length, token in enumerate((*phrase, END)):
            after.setdefault(phrase[:length], set()).add(token)
    choices = {prefix: sorted(tokens) for prefix, tokens in after.items()}
    return Phrases(listed), lambda image, row: choices.get(tuple(row[1:].tolist()), [END])
