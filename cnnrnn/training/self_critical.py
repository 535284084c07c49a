"""The second stage's objective: self-critical sequence training (Rennie et al. 2017) on CIDEr-D."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.data.dataset import Draw
from cnnrnn.models.decoding import Decoding
from cnnrnn.training.batches import Share
from cnnrnn.training.cider import CiderD
from cnnrnn.training.forward import Forward, State
from cnnrnn.training.scst_config import ScstConfig

Choose = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Reward:
    """What captions are rewarded by.

    Attributes:
        cider: CIDEr-D over the training captions, whose end tokens count as words.
        picture_of: which of its pictures a draw is of.
        tokenizer: the special tokens.
        max_length: most tokens of a caption, the end token included.
    """

    cider: CiderD
    picture_of: Callable[[Draw], int]
    tokenizer: Tokenizer
    max_length: int


class SelfCritical(nn.Module):
    """The sum over drawn captions of -(reward - baseline) log p(caption).

    K captions are drawn of each picture, all at once, and the gradient goes through the drawing pass itself:
    dropout is as it was when the words were drawn. The baseline is the reward of the likeliest words without
    dropout, from the same features, or the mean reward of the picture's other samples (Luo 2020).
    """

    def __init__(self, forward: Forward, reward: Reward, options: ScstConfig) -> None:
        super().__init__()
        self.captioner = forward
        self.reward = reward
        self.options = options

    def weight(self, share: Share) -> int:
        """How many captions count: the loss of a step is divided by those of all its batches."""
        return 0 if share.spare else len(share.draws) * self.options.samples

    def forward(self, share: Share) -> tuple[Tensor, dict[str, float]]:
        """The loss, and the sums of the captions' ``reward`` and ``baseline``."""
        samples, count = self.options.samples, 0.0 if share.spare else 1.0
        pictures = [self.reward.picture_of(draw) for draw in share.draws]
        with self.captioner.autocast():
            memory, state = self.captioner.start(share.batch)
            drawn, chances = self._unroll(memory, state, samples, _draw)
        rewards = self._rewards(pictures, drawn)
        if self.options.baseline == "greedy":
            baseline = self._rewards(pictures, self._greedy(memory, state)).expand(-1, samples)
        else:
            baseline = (rewards.sum(dim=1, keepdim=True) - rewards) / (samples - 1)
        loss = -((rewards - baseline).to(chances) * chances).sum()
        sums = {"reward": float(rewards.sum()) * count, "baseline": float(baseline.sum()) * count}
        return loss * count, sums

    @torch.no_grad()
    def _greedy(self, memory: State, state: State) -> Tensor:
        model = self.captioner.model
        assert isinstance(model, Decoding), "a reader along columns is not trained by rewards"
        decoder = model.decoder
        decoder.eval()
        with self.captioner.autocast():
            words, _ = self._unroll(memory, state, 1, lambda scores: scores.argmax(dim=-1))
        decoder.train()
        return words

    def _unroll(self, memory: State, state: State, beams: int, choose: Choose) -> tuple[Tensor, Tensor]:
        """Captions word by word.

        Returns:
            (B, K, T) tokens, padded after the end token, and (B, K) their log-probabilities.
        """
        tokenizer = self.reward.tokenizer
        state = {name: value.expand(-1, beams, *value.shape[2:]) for name, value in state.items()}
        images = next(iter(state.values())).shape[0]
        device = self.captioner.device
        words = torch.full((images, beams), tokenizer.start, device=device)
        going = torch.ones((images, beams), dtype=torch.bool, device=device)
        chance = torch.zeros((images, beams), device=device)
        never = torch.tensor([tokenizer.pad, tokenizer.start], device=device)
        chosen: list[Tensor] = []
        for _ in range(self.reward.max_length):
            logits, state = self.captioner.step(words, state, memory)
            scores = logits.float().index_fill(-1, never, -torch.inf).log_softmax(dim=-1)
            words = choose(scores.detach())
            picked = scores.gather(-1, words.unsqueeze(-1)).squeeze(-1)
            chance = chance + torch.where(going, picked, 0.0)
            words = torch.where(going, words, tokenizer.pad)
            chosen.append(words)
            going = going & (words != tokenizer.end)
            if not bool(going.any()):
                break
        return torch.stack(chosen, dim=-1), chance

    def _rewards(self, pictures: list[int], words: Tensor) -> Tensor:
        """(B, K) float64, on the model's device."""
        images, beams, _ = words.shape
        pad = self.reward.tokenizer.pad
        captions = [[token for token in row if token != pad] for row in words.flatten(0, 1).tolist()]
        owners = [picture for picture in pictures for _ in range(beams)]
        scores = torch.from_numpy(self.reward.cider.score(owners, captions)).view(images, beams)
        return scores.to(words.device)


def _draw(scores: Tensor) -> Tensor:
    """(B, K) one token each, drawn from (B, K, V) log-probabilities."""
    return torch.multinomial(scores.exp().flatten(0, -2), 1).view(scores.shape[:-1])
