"""The objective of a reader of lines: CTC (Graves et al. 2006), the likelihood of all ways to a text."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.data.dataset import IGNORED, Batch
from cnnrnn.training.batches import Share
from cnnrnn.training.cross_entropy import words_of
from cnnrnn.training.forward import Forward


class Ctc(nn.Module):
    """The sum over a batch of ``-log p(text)``, in nats; the blank is ``<pad>``.

    A text that does not fit into the columns, two equal characters in a row needing one between them, has no
    probability: its loss is 0, and it is counted.
    """

    def __init__(self, forward: Forward, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.captioner = forward
        self.tokenizer = tokenizer

    def weight(self, share: Share) -> int:
        """How many characters count, an end for each line with them."""
        return 0 if share.spare else words_of(share.batch)

    def forward(self, share: Share) -> tuple[Tensor, dict[str, float]]:
        """The loss; and ``infeasible``, what of the weight is that of lines that do not fit."""
        loss, infeasible = line_loss(self.captioner, share.batch, self.tokenizer)
        kept = 0.0 if share.spare else 1.0
        return loss * kept, {"infeasible": infeasible * kept}


def line_loss(forward: Forward, batch: Batch, tokenizer: Tokenizer) -> tuple[Tensor, int]:
    """The summed loss of a batch, a scalar, float32, and the weight of the lines that do not fit."""
    with forward.autocast():
        logits = forward.memory(batch)["logits"]
    logprobs = functional.log_softmax(logits.float(), dim=-1).transpose(0, 1)
    texts = [_text(row, tokenizer) for row in batch.targets]
    lengths = torch.tensor([len(text) for text in texts])
    columns = torch.full((len(texts),), logprobs.shape[0])
    loss = functional.ctc_loss(
        logprobs,
        torch.cat(texts).to(logprobs.device),
        columns,
        lengths,
        blank=tokenizer.pad,
        reduction="sum",
        zero_infinity=True,
    )
    return loss, sum(len(text) + 1 for text in texts if needed_columns(text) > logprobs.shape[0])


def needed_columns(text: Tensor) -> int:
    """The least columns that a text (L) can be written in."""
    return len(text) + int((text[1:] == text[:-1]).sum())


@torch.no_grad()
def best_path_texts(memory: dict[str, Tensor], tokenizer: Tokenizer) -> list[str]:
    """The text of each line's likeliest column tokens: a quick look at a model while it trains."""
    chosen = memory["logits"].argmax(dim=-1)
    return [tokenizer.decode(row.unique_consecutive().tolist()) for row in chosen]


def _text(targets: Tensor, tokenizer: Tokenizer) -> Tensor:
    """The characters of a line, without its end and what it is filled up with."""
    return targets[(targets != IGNORED) & (targets != tokenizer.end)]
