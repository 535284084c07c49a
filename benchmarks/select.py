"""What the search itself costs, beside Transformers' search over the same logits, in one run.

    python -m benchmarks.select [--beams 1 5] [--vocabulary 10000] [--repetitions 10] [--json FILE]

The decoder is free: every step gives the same random logits, so all that is timed is the search. One answer
is 20 steps for one image. Ours is the loop of the runtime with its select graph on ONNX Runtime's CPU, on one
thread; the peer is ``generate`` of Transformers over PyTorch, on as many threads as it likes. They take turns
answer by answer, so that a machine whose speed drifts is fair to both. Printed are the median milliseconds a
step, the median of the ratios within a turn, and the share of the decoder's step that a select takes, where
the decoder is that of a ResNet-50 captioner (LSTM 512, attention over 49 positions, random weights), timed in
turn with it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
import transformers
from transformers import GenerationConfig, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from cnnrnn.core.manifest import ImageSpec
from cnnrnn.core.phrases import Phrases
from cnnrnn.core.search import SearchOptions
from cnnrnn.export.onnx_graph import step_graph
from cnnrnn.export.signature import trace_signature
from cnnrnn.export.tidy import graph_bytes
from cnnrnn.models import Captioner, ModelConfig
from cnnrnn.runtime.backend import Encoded, Stepped, Tensor, Tensors
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.loop import SpecialTokens, decode
from cnnrnn.runtime.select import SelectKind, make_select, select_spec
from cnnrnn.runtime.threads import physical_cores

STEPS = 20
WARM_UP = 3
START, END = 0, 2


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
    "1,000 phrases": Variant({"phrases": "made for the size"}, {"prefix_allowed_tokens_fn": "likewise"}),
    "top-k and top-p": Variant(
        {"do_sample": True, "top_k": 50, "top_p": 0.9}, {"do_sample": True, "top_k": 50, "top_p": 0.9}
    ),
}


class FreeDecoder:
    """A backend whose step costs nothing: the same logits (1, K, V) every time."""

    name, precision = "free", "fp32"

    def __init__(self, vocabulary: int) -> None:
        self.vocabulary = vocabulary
        self.sessions: dict[SelectKind, tuple[Any, list[str]]] = {}
        self.logits: Tensor = None

    def encode(self, images: np.ndarray) -> Encoded:
        return Encoded({}, {})

    def widen(self, state: Tensors, beams: int) -> Tensors:
        return dict(state)

    def step(self, tokens: Tensor, parents: Tensor, state: Tensors, memory: Tensors) -> Stepped:
        return Stepped(self.logits, {}, None)

    def select(self, kind: SelectKind, inputs: Tensors) -> Tensors:
        session, names = self.sessions[kind]
        return dict(zip(names, session.run_with_ort_values(names, inputs), strict=True))

    def prepare(self, kind: SelectKind) -> None:
        if kind not in self.sessions:
            names = [tensor.name for tensor in select_spec("", kind).outputs]
            self.sessions[kind] = session(make_select(kind), threads=1), names
        self.logits = self.from_host(random_logits(kind.beams, self.vocabulary)[None])

    def from_host(self, array: np.ndarray) -> Tensor:
        return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))

    def to_host(self, tensor: Tensor) -> np.ndarray:
        array: np.ndarray = tensor.numpy()
        return array

    def close(self) -> None:
        self.sessions.clear()


class FreeModel(PreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """The peer's free decoder: the same logits (R, 1, V) for every prefix."""

    config_class = PretrainedConfig
    main_input_name = "input_ids"

    def __init__(self, beams: int, vocabulary: int) -> None:
        super().__init__(PretrainedConfig(vocab_size=vocabulary, is_encoder_decoder=False, use_cache=False))
        self.anchor = torch.nn.Parameter(torch.zeros(1))  # generate asks a model for its device
        self.logits = torch.from_numpy(random_logits(beams, vocabulary)).unsqueeze(1)

    def forward(self, input_ids: torch.Tensor, **unused: Any) -> CausalLMOutput:
        return CausalLMOutput(logits=self.logits[: len(input_ids)])

    def prepare_inputs_for_generation(self, input_ids: torch.Tensor, **unused: Any) -> dict[str, Any]:
        return {"input_ids": input_ids}


def random_logits(beams: int, vocabulary: int) -> np.ndarray:
    """(K, V) float32, with the end token out of reach: every answer has all its steps."""
    logits = np.random.default_rng(0).normal(size=(beams, vocabulary)).astype(np.float32)
    logits[:, END] = -1e4
    return logits


def session(graph: bytes, threads: int) -> Any:
    """ONNX Runtime as the runtime sets it up: threads sleep while they wait."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def phrases(vocabulary: int) -> tuple[Phrases, Callable[[int, torch.Tensor], list[int]]]:
    """1,000 phrases of 20 tokens, as our tables and as the peer's function over a dictionary of prefixes."""
    random = np.random.default_rng(1)
    listed = [tuple(random.integers(3, vocabulary, STEPS).tolist()) for _ in range(1000)]
    after: dict[tuple[int, ...], set[int]] = {}
    for phrase in listed:
        for length, token in enumerate((*phrase, END)):
            after.setdefault(phrase[:length], set()).add(token)
    choices = {prefix: sorted(tokens) for prefix, tokens in after.items()}
    return Phrases(listed), lambda image, row: choices.get(tuple(row[1:].tolist()), [END])


def contestants(
    beams: int, vocabulary: int, variant: Variant
) -> tuple[Callable[[], Clock], Callable[[], None]]:
    """One answer of ours, which tells its stages, and one of the peer's, both of `STEPS` steps."""
    ours, theirs = dict(variant.ours), dict(variant.theirs)
    allowed = None
    if "phrases" in ours:
        theirs.pop("prefix_allowed_tokens_fn")
        ours["phrases"], allowed = phrases(vocabulary)
    options = SearchOptions(beams, STEPS, **ours)
    backend, special = FreeDecoder(vocabulary), SpecialTokens(START, (END,))
    picture = np.zeros((1, 1, 1, 3), np.uint8)
    model = FreeModel(beams, vocabulary).eval()
    sampling = bool(theirs.get("do_sample"))
    config = GenerationConfig(
        num_beams=1 if sampling else beams,
        num_return_sequences=beams if sampling else 1,
        max_new_tokens=STEPS,
        eos_token_id=END,
        pad_token_id=1,
        use_cache=False,
        **theirs,
    )
    start = torch.full((1, 1), START)

    def we() -> Clock:
        clock = Clock()
        decode(backend, picture, options, special, clock)
        return clock

    def they() -> None:
        model.generate(start, generation_config=config, prefix_allowed_tokens_fn=allowed)

    return we, they


def decoder_step(beams: int, vocabulary: int) -> Callable[[], None]:
    """One step of the captioner that a select is compared with, exported and run as the runtime does."""
    torch.manual_seed(0)
    config = ModelConfig(
        encoder="resnet50", hidden=512, embedding=512, attention="additive", attention_size=512
    )
    model = Captioner(config, vocabulary).eval()
    image = ImageSpec(224, 224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    graph, signature = step_graph(model, trace_signature(model, image))
    running = session(graph_bytes(graph), physical_cores())
    random = np.random.default_rng(0)
    feeds = {}
    for tensor in signature.step_inputs():
        shape = [{"B": 1, "K": beams}.get(str(side), side) for side in tensor.shape]
        integer = tensor.dtype == "int32"
        array = np.zeros(shape, np.int32) if integer else random.normal(size=shape).astype(np.float32)
        feeds[tensor.name] = onnxruntime.OrtValue.ortvalue_from_numpy(array)
    names = [tensor.name for tensor in signature.step_outputs()]

    def run() -> None:
        running.run_with_ort_values(names, feeds)

    return run


@dataclass(frozen=True)
class Row:
    """Median milliseconds a step: our search, the peer's, our select graph alone, the decoder; ratios."""

    beams: int
    vocabulary: int
    variant: str
    ours_ms: float
    peer_ms: float
    peer_over_ours: float
    select_ms: float
    decoder_ms: float
    select_share: float


def measure(beams: int, vocabulary: int, name: str, decoder: Callable[[], None], repetitions: int) -> Row:
    """Times one setting; the three take turns."""
    we, they = contestants(beams, vocabulary, VARIANTS[name])
    taken: list[tuple[float, float, float, float]] = []
    for turn in range(repetitions + WARM_UP):
        started = time.perf_counter()
        clock = we()
        middle = time.perf_counter()
        they()
        end = time.perf_counter()
        for _ in range(STEPS):
            decoder()
        last = time.perf_counter()
        if turn >= WARM_UP:
            select = clock.stages_ms["select"]
            taken.append((1e3 * (middle - started), 1e3 * (end - middle), select, 1e3 * (last - end)))
    ours, peer, select, step = (statistics.median(column) / STEPS for column in zip(*taken, strict=True))
    return Row(
        beams,
        vocabulary,
        name,
        ours,
        peer,
        statistics.median(turn[1] / turn[0] for turn in taken),
        select,
        step,
        statistics.median(turn[2] / turn[3] for turn in taken),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 2, 5, 8, 16])
    parser.add_argument("--vocabulary", type=int, nargs="+", default=[1000, 10000, 50000])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--repetitions", type=int, default=10, help="answers of each, after the warm-up")
    parser.add_argument("--json", type=Path, help="write the table here too")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    print(
        f"milliseconds a step, one image; onnxruntime {onnxruntime.__version__}, transformers "
        f"{transformers.__version__}, torch {torch.__version__} ({torch.get_num_threads()} threads)"
    )
    print(f"{'beams':>5} {'V':>6}  {'options':22} {'ours':>7} {'peer':>7} {'x':>5} {'select':>7} of a step")
    rows = []
    for vocabulary in arguments.vocabulary:
        for beams in arguments.beams:
            decoder = decoder_step(beams, vocabulary)
            for name in arguments.variants:
                row = measure(beams, vocabulary, name, decoder, arguments.repetitions)
                rows.append(row)
                print(
                    f"{beams:5} {vocabulary:6}  {name:22} {row.ours_ms:7.3f} {row.peer_ms:7.3f} "
                    f"{row.peer_over_ours:5.1f} {row.select_ms:7.3f} {row.select_share:9.1%}",
                    flush=True,
                )
    if arguments.json:
        arguments.json.write_text(json.dumps([vars(row) for row in rows], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
