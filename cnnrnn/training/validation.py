"""How good a captioner is on what it was not trained on: cross-entropy, exact matches and CIDEr-D."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch

from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.data.dataset import Batch, CaptionDataset
from cnnrnn.evaluation.words import split_words
from cnnrnn.models import LineReader
from cnnrnn.training.batches import Batches, first_examples
from cnnrnn.training.cider import CiderD
from cnnrnn.training.cross_entropy import word_loss, words_of
from cnnrnn.training.ctc import best_path_texts, line_loss
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
        captions: every picture with each of its captions.
        pictures: every picture once, in each of its languages.
        tokenizer: the vocabulary.
        max_length: most tokens of a caption, the end token included.
    """

    def __init__(self, captions: Batches, pictures: Batches, tokenizer: Tokenizer, max_length: int) -> None:
        self.captions = captions
        self.pictures = pictures
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.processes: Processes = captions.processes
        self._numbers: dict[str, int] = {}
        examples = first_examples(self.dataset)
        self._places = {example: place for place, example in enumerate(examples)}
        self._references = [self.dataset.alternatives(example) for example in examples]
        self._cider = CiderD([self._words(captions) for captions in self._references], WORDS)

    @property
    def dataset(self) -> CaptionDataset:
        """The pictures."""
        return self.captions.dataset

    @torch.no_grad()
    def __call__(self, forward: Forward, stop_asked: Callable[[], bool]) -> dict[str, float]:
        """Evaluates a model in eval mode.

        ``validation_cider`` is `cnnrnn eval`'s ``cider`` of greedy captions, words split in the same way.

        Raises:
            StopAsked: ``stop_asked``, which every process calls as often as the others, was true.
        """
        total = count = 0.0
        for share in self.captions.of_epoch(0):
            words = 0 if share.spare else words_of(share.batch)
            if words:
                total += self._loss(forward, share.batch)
            count += words
            _leave_if(stop_asked())
        total, count = self.processes.sum(total, count)
        said = self._say(forward, stop_asked)
        hits = [text in self._references[place] for place, text in said.items()]
        cider = self._cider.score(list(said), self._words(said.values()))
        metrics = {
            "validation_loss": total / count,
            "validation_exact_match": float(np.mean(hits)),
            "validation_cider": float(cider.mean()),
        }
        return self.processes.same(metrics)

    def _loss(self, forward: Forward, batch: Batch) -> float:
        if isinstance(forward.model, LineReader):
            return line_loss(forward, batch, self.tokenizer)[0].item()
        return word_loss(forward.logits(batch), batch, 0.0).item()

    def _say(self, forward: Forward, stop_asked: Callable[[], bool]) -> dict[int, str]:
        """The place of each picture, or of each of its languages, among the references, with its greedy
        caption."""
        said: list[tuple[int, str]] = []
        for share in self.pictures.of_epoch(0):
            memory = forward.memory(share.batch)
            if isinstance(forward.model, LineReader):
                texts = best_path_texts(memory, self.tokenizer)
            else:
                first = share.batch.inputs[:, 0]
                texts = greedy_captions(forward.model, memory, self.tokenizer, self.max_length, first)
            places = [self._places[draw.example] for draw in share.draws]
            said += self.processes.gather([] if share.spare else list(zip(places, texts, strict=True)))
            _leave_if(stop_asked())
        return dict(said)

    def _words(self, texts: Iterable[str]) -> list[Sequence[int]]:
        """Texts as the numbers of their words."""
        return [
            [self._numbers.setdefault(word, len(self._numbers)) for word in text.split()]
            for text in split_words(list(texts), "plain")
        ]


def _leave_if(stop: bool) -> None:
    if stop:
        raise StopAsked
