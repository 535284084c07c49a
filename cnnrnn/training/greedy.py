"""Greedy decoding in torch, batched: the quick look at a model while it trains."""

from __future__ import annotations

import torch
from torch import Tensor

from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.models import Model


@torch.no_grad()
def greedy_captions(
    model: Model,
    memory: dict[str, Tensor],
    tokenizer: Tokenizer,
    max_length: int,
    first: Tensor | None = None,
) -> list[str]:
    """The most likely word at each step until the end token.

    Args:
        model: in eval mode.
        memory: of the pictures, names to (B, ...) tensors.
        tokenizer: the vocabulary.
        max_length: most tokens of a caption, the end token included.
        first: (B) int64, what is fed first; the start token by default.

    Returns:
        B captions.
    """
    device = next(iter(memory.values())).device
    images = len(next(iter(memory.values())))
    state = {name: value.unsqueeze(1) for name, value in model.initial_state(memory).items()}
    fed = torch.full((images,), tokenizer.start) if first is None else first
    tokens = fed.to(device).unsqueeze(1)
    done = torch.zeros(images, dtype=torch.bool, device=device)
    chosen: list[Tensor] = []
    for _ in range(max_length):
        logits, state, *_ = model.step(tokens, state, memory)
        tokens = logits.argmax(dim=-1)
        tokens[done] = tokenizer.pad
        chosen.append(tokens)
        done |= tokens[:, 0] == tokenizer.end
        if bool(done.all()):
            break
    rows = torch.cat(chosen, dim=1).tolist()
    return [tokenizer.decode(row) for row in rows]
