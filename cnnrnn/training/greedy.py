"""Greedy decoding in torch, batched: the quick look at a model while it trains."""

from __future__ import annotations

import torch
from torch import Tensor

from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.models.captioner import Captioner


@torch.no_grad()
def greedy_captions(model: Captioner, images: Tensor, tokenizer: Tokenizer, max_length: int) -> list[str]:
    """The most likely word at each step until the end token.

    Args:
        model: in eval mode.
        images: (B, 3, H, W) float32, normalised.
        tokenizer: the vocabulary.
        max_length: most tokens of a caption, the end token included.

    Returns:
        B captions.
    """
    memory = model.encode(images)
    state = {name: value.unsqueeze(1) for name, value in model.initial_state(memory).items()}
    tokens = torch.full((len(images), 1), tokenizer.start, device=images.device)
    done = torch.zeros(len(images), dtype=torch.bool, device=images.device)
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
