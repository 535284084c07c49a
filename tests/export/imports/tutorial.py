"""a-PyTorch-Tutorial-to-Image-Captioning anew, from its published tensors: encoder, decoder, search."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.export.imports.trunks import trained_resnet

WORDS = [*"abcdefghij"]
WORD_MAP = {
    "<pad>": 0,
    **{word: number for number, word in enumerate(WORDS, 1)},
    **{token: number for number, token in enumerate(("<unk>", "<start>", "<end>"), len(WORDS) + 1)},
}
FEATURES, HIDDEN, EMBEDDING, ATTENTION = 512, 20, 12, 14
STEPS = 10


class Encoder(nn.Module):
    """A ResNet's children but the last two as an `nn.Sequential`, pooled, positions before features."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.resnet = nn.Sequential(*list(trained_resnet().children())[:-2])
        self.adaptive_pool = nn.AdaptiveAvgPool2d((side, side))

    def forward(self, images: Tensor) -> Tensor:
        pooled: Tensor = self.adaptive_pool(self.resnet(images)).permute(0, 2, 3, 1)
        return pooled


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder_att = nn.Linear(FEATURES, ATTENTION)
        self.decoder_att = nn.Linear(HIDDEN, ATTENTION)
        self.full_att = nn.Linear(ATTENTION, 1)

    def forward(self, positions: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        energy = self.full_att(
            functional.relu(self.encoder_att(positions) + self.decoder_att(hidden)[:, None, :])
        )
        alpha = functional.softmax(energy.squeeze(2), dim=1)
        return (positions * alpha[:, :, None]).sum(dim=1), alpha


class DecoderWithAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention()
        self.embedding = nn.Embedding(len(WORD_MAP), EMBEDDING)
        self.decode_step = nn.LSTMCell(EMBEDDING + FEATURES, HIDDEN)
        self.init_h = nn.Linear(FEATURES, HIDDEN)
        self.init_c = nn.Linear(FEATURES, HIDDEN)
        self.f_beta = nn.Linear(HIDDEN, FEATURES)
        self.fc = nn.Linear(HIDDEN, len(WORD_MAP))

    def start(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        mean = positions.mean(dim=1)
        return self.init_h(mean), self.init_c(mean)

    def scores(
        self, words: Tensor, positions: Tensor, hidden: Tensor, cell: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Log-probabilities (s, V), the next state, and where it looked."""
        seen, alpha = self.attention(positions, hidden)
        gated = torch.sigmoid(self.f_beta(hidden)) * seen
        hidden, cell = self.decode_step(torch.cat([self.embedding(words), gated], dim=1), (hidden, cell))
        return functional.log_softmax(self.fc(hidden), dim=1), hidden, cell, alpha


@torch.no_grad()
def beam_search(encoder: Any, decoder: Any, image: Tensor, k: int) -> tuple[list[int], float, Tensor]:
    """The program's search: k sequences, one less for each that ends, and the best of those that ended.

    Where none did in `STEPS`, which is where the program fails, those that are left.

    Returns:
        The tokens with the end token, their log-probability, and the attention at each, (T, P).
    """
    positions = encoder(image[None]).flatten(1, 2).expand(k, -1, -1)
    words = torch.full((k,), WORD_MAP["<start>"])
    sequences, sums = torch.zeros(k, 0, dtype=torch.long), torch.zeros(k)
    looks = torch.zeros(k, 0, positions.shape[1])
    hidden, cell = decoder.start(positions)
    ended: list[tuple[float, list[int], Tensor]] = []
    for step in range(STEPS):
        scores, hidden, cell, alpha = decoder.scores(words, positions, hidden, cell)
        scores = sums[:, None] + scores
        # At first all k are the same one.
        best, chosen = (scores[:1] if step == 0 else scores).flatten().topk(k)
        parents, words = chosen // len(WORD_MAP), chosen % len(WORD_MAP)
        sequences = torch.cat([sequences[parents], words[:, None]], dim=1)
        looks = torch.cat([looks[parents], alpha[parents, None]], dim=1)
        going = words != WORD_MAP["<end>"]
        for index in (~going).nonzero().flatten():
            ended.append((best[index].item(), sequences[index].tolist(), looks[index]))
        k = int(going.sum())
        if k == 0:
            break
        kept = parents[going]
        hidden, cell, positions = hidden[kept], cell[kept], positions[kept]
        sequences, sums, looks, words = sequences[going], best[going], looks[going], words[going]
    left = zip(sums.tolist(), sequences.tolist(), looks, strict=True)
    score, tokens, seen = max(ended or left, key=lambda entry: entry[0])
    return tokens, score, seen


@torch.no_grad()
def log_probability(encoder: Any, decoder: Any, image: Tensor, tokens: list[int]) -> float:
    """What the decoder thinks of a caption, the end token included."""
    positions = encoder(image[None]).flatten(1, 2)
    hidden, cell = decoder.start(positions)
    total, word = 0.0, WORD_MAP["<start>"]
    for token in tokens:
        scores, hidden, cell, _ = decoder.scores(torch.tensor([word]), positions, hidden, cell)
        total, word = total + scores[0, token].item(), token
    return total
