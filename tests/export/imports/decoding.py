"""Greedy captions of an imported model by its three methods, without an export."""

from __future__ import annotations

import torch
from torch import Tensor

from cnnrnn.export.imports import Imported


@torch.no_grad()
def sampled(imported: Imported, images: Tensor, longest: int) -> list[list[int]]:
    """The tokens of each of (B, 3, H, W), the end token included where there was room for it."""
    model, tokenizer = imported.model, imported.tokenizer
    captions = []
    for image in images:
        memory = model.encode(image[None])
        state = {name: value[:, None] for name, value in model.initial_state(memory).items()}
        word, said = tokenizer.start, list[int]()
        while len(said) < longest and word != tokenizer.end:
            logits, state = model.step(torch.tensor([[word]]), state, memory)[:2]
            word = int(logits.argmax())
            said.append(word)
        captions.append(said)
    return captions
