"""How good a captioner is on what it was not trained on: cross-entropy, exact matches and CIDEr-D."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch

from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.data.dataset import CaptionDataset
from cnnrnn.evaluation.words import split_words
from cnnrnn.training.batches import Batches
from cnnrnn.training.cider import CiderD
from cnnrnn.training.cross_entropy import word_loss, words_of
from cnnrnn.training.forward import Forward
from cnnrnn.training.greedy import greedy_captions
from cnnrnn.training.processes import Processes

WORDS = 2**31
"""More words than there can be: words are numbered as they come."""


class StopAsked(Exception):
    """The run is to stop; what was evaluated so far is of no use."""


class Validation:
    """Evaluates models on one set of pictures, which the processes share out.

    Args:
        batches: the pictures with their captions.
        tokenizer: the vocabulary.
        max_length: most tokens of a caption, the end token included.
        batch_size: pictures that are captioned at once, over all processes.
    """

    def __init__(self, batches: Batches, tokenizer: Tokenizer, max_length: int, batch_size: int) -> None:
        self.batches = batches
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.batch_size = batch_size
        self.processes: Processes = batches.processes
        self._numbers: dict[str, int] = {}
        references = [sample.captions for sample in self.dataset.samples]
        self._cider = CiderD([self._words(captions) for captions in references], WORDS)

    @property
    def dataset(self) -> CaptionDataset:
        """The pictures."""
        return self.batches.dataset

    @torch.no_grad()
    def __call__(self, forward: Forward, stop_asked: Callable[[], bool]) -> dict[str, float]:
        """Evaluates a model in eval mode.

        ``validation_cider`` is `cnnrnn eval`'s ``cider`` of greedy captions, words split in the same way.

        Raises:
            StopAsked: ``stop_asked``, which every process calls as often as the others, was true.
        """
        total = count = 0.0
        for share in self.batches.of_epoch(0):
            words = 0 if share.spare else words_of(share.batch)
            if words:
                total += word_loss(forward.logits(share.batch), share.batch, 0.0).item()
            count += words
            _leave_if(stop_asked())
        total, count = self.processes.sum(total, count)
        texts = self._captions(forward, stop_asked)
        hits = [text in sample.captions for text, sample in zip(texts, self.dataset.samples, strict=True)]
        cider = self._cider.score(range(len(texts)), self._words(texts))
        metrics = {
            "validation_loss": total / count,
            "validation_exact_match": float(np.mean(hits)),
            "validation_cider": float(cider.mean()),
        }
        return self.processes.same(metrics)

    def _captions(self, forward: Forward, stop_asked: Callable[[], bool]) -> list[str]:
        """Of all pictures, in order."""
        samples, processes = len(self.dataset.samples), self.processes
        texts: list[str] = []
        for start in range(0, samples, self.batch_size):
            numbers = range(start, min(start + self.batch_size, samples))[processes.rank :: processes.count]
            found: list[str] = []
            if numbers:
                images = forward.normalise(torch.stack([self.dataset.pixels(number) for number in numbers]))
                found = greedy_captions(forward.model, images, self.tokenizer, self.max_length)
            texts += processes.gather(found)
            _leave_if(stop_asked())
        return texts

    def _words(self, texts: Iterable[str]) -> list[Sequence[int]]:
        """Texts as the numbers of their words."""
        return [
            [self._numbers.setdefault(word, len(self._numbers)) for word in text.split()]
            for text in split_words(list(texts), "plain")
        ]


def _leave_if(stop: bool) -> None:
    if stop:
        raise StopAsked
