"""The peers: beam search in PyTorch, as one writes it there.

`TorchSearch` is vectorised: the beams of all pictures are rows of one tensor, chosen with ``topk`` and put in
order with ``gather``; nothing is waited for between steps, not even to see whether all have finished. It runs
eagerly, captured in two CUDA graphs, or compiled by ``torch.compile`` and then captured: the step alone, or
the encoder too. `tutorial_search` is the loop of the usual tutorial (Show, Attend and Tell in PyTorch), for
one picture: a tensor of sequences, and Python lists of which are complete.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from cnnrnn.core.manifest import ImageSpec
from cnnrnn.models import Captioner

Variant = Literal["eager", "graphs", "compiled", "compiled whole"]
State = dict[str, Tensor]


@dataclass(frozen=True)
class Size:
    """B, K and T of a search, and the ids of the start and the end token."""

    batch: int
    beams: int
    steps: int
    start: int
    end: int


class TorchSearch:
    """A search of one size.

    Args:
        model: on its device and in its precision, in ``eval`` mode.
        image: how pixels are normalised.
    """

    def __init__(self, model: Captioner, image: ImageSpec, size: Size, variant: Variant = "eager") -> None:
        self._model, self._size = model, size
        weight = model.decoder.output.weight
        self._device, self._dtype = weight.device, weight.dtype
        self._mean, self._std = (
            torch.tensor(values, device=self._device).view(1, 3, 1, 1) for values in (image.mean, image.std)
        )
        shape = (size.batch, image.height, image.width, 3)
        pinned = self._device.type == "cuda"
        self._host = torch.zeros(shape, dtype=torch.uint8, pin_memory=pinned)
        self._pixels = torch.zeros(shape, dtype=torch.uint8, device=self._device)
        self._encode: Callable[[], tuple[State, State]] = self._encoder
        self._step = self._one_step
        if variant.startswith("compiled"):
            torch.compiler.reset()  # each size is compiled anew, of which torch allows only a few
            self._step = torch.compile(self._one_step, dynamic=False)
        if variant == "compiled whole":
            self._encode = torch.compile(self._encoder, dynamic=False)
        self._replays = self._captured() if variant != "eager" else None

    @torch.inference_mode()
    def search(self, pictures: list[Any]) -> tuple[list[tuple[int, ...]], dict[str, float]]:
        """The tokens of the best caption of each picture (H, W, 3), and the milliseconds of each stage."""
        marks = [_Mark(self._device) for _ in range(3)]
        started = time.perf_counter()
        marks[0].set()
        self._host.copy_(torch.from_numpy(np.stack(pictures)))
        self._pixels.copy_(self._host, non_blocking=True)
        if self._replays is None:
            encoded = self._encode()
            marks[1].set()
            found = self._decode(*encoded)
        else:
            encoder, decoder, found = self._replays
            encoder.replay()
            marks[1].set()
            decoder.replay()
        marks[2].set()
        tokens, parents, scores = (tensor.cpu().numpy() for tensor in found)
        captions = self._traced_back(tokens, parents, scores)
        answer_ms = (time.perf_counter() - started) * 1e3
        stages = {"encoder": marks[1].since(marks[0]), "search": marks[2].since(marks[1])}
        return captions, {**stages, "answer": answer_ms}

    def _encoder(self) -> tuple[State, State]:
        """The memory (B, ...), and the first state of every beam (B, K, ...)."""
        pixels = self._pixels.permute(0, 3, 1, 2).float().div(255).sub(self._mean).div(self._std)
        memory = self._model.encode(pixels.to(self._dtype).contiguous(memory_format=torch.channels_last))
        first = self._model.initial_state(memory)
        beams = self._size.beams
        return memory, {
            name: value.unsqueeze(1).expand(-1, beams, -1).contiguous() for name, value in first.items()
        }

    def _decode(self, memory: State, state: State) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens and parents (T, B, K), and the last scores (B, K)."""
        size = self._size
        rows = (size.batch, size.beams)
        tokens = torch.full(rows, size.start, dtype=torch.int64, device=self._device)
        scores = torch.full(rows, -torch.inf, device=self._device)
        scores[:, 0] = 0.0
        finished = torch.zeros(rows, dtype=torch.bool, device=self._device)
        kept_tokens, kept_parents = [], []
        for _ in range(size.steps):
            tokens, parents, scores, finished, state = self._step(tokens, scores, finished, state, memory)
            kept_tokens.append(tokens)
            kept_parents.append(parents)
        return torch.stack(kept_tokens), torch.stack(kept_parents), scores

    def _one_step(
        self, tokens: Tensor, scores: Tensor, finished: Tensor, state: State, memory: State
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, State]:
        logits, following, *_ = self._model.step(tokens, state, memory)
        logprobs = torch.log_softmax(logits.float(), dim=-1)
        vocabulary = logprobs.shape[-1]
        # A finished beam goes on with its end token alone, which costs nothing.
        ended = torch.full_like(logprobs[:1, :1], -torch.inf)
        ended[..., self._size.end] = 0.0
        logprobs = torch.where(finished.unsqueeze(-1), ended, logprobs)
        scores, places = (scores.unsqueeze(-1) + logprobs).flatten(1).topk(self._size.beams)
        parents = torch.div(places, vocabulary, rounding_mode="floor")
        tokens = places % vocabulary
        finished = finished.gather(1, parents) | (tokens == self._size.end)
        moved = {
            name: value.gather(1, parents.unsqueeze(-1).expand(-1, -1, value.shape[-1]))
            for name, value in following.items()
        }
        return tokens, parents, scores, finished, moved

    @torch.inference_mode()
    def _captured(self) -> tuple[Any, Any, tuple[Tensor, Tensor, Tensor]]:
        """The encoder and all steps as CUDA graphs, after the runs that capturing asks for."""
        side: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self._decode(*self._encode())
        torch.cuda.current_stream().wait_stream(side)
        encoder, decoder = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        with torch.cuda.graph(encoder):
            encoded = self._encode()
        with torch.cuda.graph(decoder, pool=encoder.pool()):
            found = self._decode(*encoded)
        self._encoded = encoded  # the graphs read and write it
        return encoder, decoder, found

    def _traced_back(self, tokens: Any, parents: Any, scores: Any) -> list[tuple[int, ...]]:
        captions = []
        for picture in range(self._size.batch):
            beam, found = int(scores[picture].argmax()), []
            for step in range(len(tokens) - 1, -1, -1):
                found.append(int(tokens[step, picture, beam]))
                beam = int(parents[step, picture, beam])
            captions.append(tuple(reversed(found)))
        return captions


@torch.inference_mode()
def tutorial_search(
    model: Captioner, image: ImageSpec, size: Size, picture: Any
) -> tuple[tuple[int, ...], dict[str, float]]:
    """The best caption of one picture (H, W, 3), and the milliseconds of each stage."""
    single = TorchSearch(model, image, Size(1, 1, size.steps, size.start, size.end))
    marks = [_Mark(single._device) for _ in range(3)]
    started = time.perf_counter()
    marks[0].set()
    single._pixels.copy_(torch.from_numpy(picture)[None])
    memory, state = single._encoder()
    marks[1].set()
    beams = size.beams
    state = {name: value.expand(1, beams, -1) for name, value in state.items()}
    sequences = torch.full((beams, 1), size.start, dtype=torch.int64, device=single._device)
    top_scores = torch.zeros(beams, 1, device=single._device)
    complete: list[list[int]] = []
    complete_scores: list[float] = []
    for step in range(size.steps):
        logits, state, *_ = model.step(sequences[:, -1][None], state, memory)
        scores = top_scores + torch.log_softmax(logits[0].float(), dim=-1)
        ranked = scores[0] if step == 0 else scores.flatten()
        top, places = ranked.topk(beams)
        before, following = (
            torch.div(places, scores.shape[-1], rounding_mode="floor"),
            places % scores.shape[-1],
        )
        sequences = torch.cat([sequences[before], following.unsqueeze(1)], dim=1)
        going_on = [row for row, word in enumerate(following) if word != size.end]
        ended = sorted(set(range(len(following))) - set(going_on))
        if ended:
            complete.extend(sequences[ended].tolist())
            complete_scores.extend(top[ended].tolist())
        beams -= len(ended)
        if beams == 0:
            break
        sequences = sequences[going_on]
        state = {name: value[:, before[going_on]] for name, value in state.items()}
        top_scores = top[going_on].unsqueeze(1)
    if not complete:
        complete, complete_scores = sequences.tolist(), top_scores[:, 0].tolist()
    best = complete[complete_scores.index(max(complete_scores))][1:]
    marks[2].set()
    answer_ms = (time.perf_counter() - started) * 1e3
    stages = {"encoder": marks[1].since(marks[0]), "search": marks[2].since(marks[1])}
    return tuple(best), {**stages, "answer": answer_ms}


class _Mark:
    """A place in the work of a device: a CUDA event, or the host's clock where there is no other."""

    def __init__(self, device: torch.device) -> None:
        self._event: Any = None
        if device.type == "cuda":
            self._event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        self._at = 0.0

    def set(self) -> None:
        if self._event is not None:
            self._event.record()
        self._at = time.perf_counter()

    def since(self, earlier: _Mark) -> float:
        """Milliseconds; waits for the device."""
        if self._event is None or earlier._event is None:
            return (self._at - earlier._at) * 1e3
        self._event.synchronize()
        return float(earlier._event.elapsed_time(self._event))
