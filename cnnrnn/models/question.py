"""A question about a picture: read by an RNN, and joined with what the CNN saw at each position."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cnnrnn.models.cells import CELLS
from cnnrnn.models.config import ModelConfig


class QuestionEncoder(nn.Module):
    """The last hidden state of an LSTM or GRU over the question's words (Antol et al. 2015).

    Args:
        config: ``question``, ``question_embedding``, ``question_hidden`` and ``dropout`` are read.
        vocabulary: of the questions.
    """

    def __init__(self, config: ModelConfig, vocabulary: int) -> None:
        super().__init__()
        cell = CELLS[config.question]
        self.embedding = nn.Embedding(vocabulary, config.question_embedding)
        self.word_gates = nn.Linear(config.question_embedding, cell.gates * config.question_hidden)
        self.cell = cell(config.question_hidden)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, question: Tensor, length: Tensor) -> Tensor:
        """Read each question to its end.

        Args:
            question: (B, Q) int64, token ids, filled up to Q by any.
            length: (B) int64, how many of them count, 1 to Q each.

        Returns:
            (B, H) float32.
        """
        gates = self.word_gates(self.dropout(self.embedding(question)))
        empty = gates.new_zeros(gates.shape[0], self.cell.hidden)
        state = tuple(empty for _ in self.cell.state_names)
        places = torch.arange(question.shape[1], device=question.device)
        counts = (places < length.unsqueeze(1)).unsqueeze(2)
        for word, going in zip(gates.unbind(dim=1), counts.unbind(dim=1), strict=True):
            following = self.cell(word, state)
            state = tuple(torch.where(going, new, old) for new, old in zip(following, state, strict=True))
        return state[0]


class Fusion(nn.Module):
    """Each position and the question, multiplied in a space of their own (low-rank bilinear pooling, Kim et
    al. 2017, "Hadamard product for low-rank bilinear pooling"), and the whole picture as the question looks
    at it (Yang et al. 2016, "Stacked attention networks", with one layer).

    Args:
        features: D, of a position.
        question: size of the question's vector.
        size: F, of what comes out.
    """

    def __init__(self, features: int, question: int, size: int) -> None:
        super().__init__()
        self.position = nn.Linear(features, size)
        self.question = nn.Linear(question, size)
        self.score = nn.Linear(size, 1, bias=False)

    def forward(self, features: Tensor, question: Tensor) -> tuple[Tensor, Tensor]:
        """Join them.

        Args:
            features: (B, P, D) positions, or (B, D) pooled.
            question: (B, H).

        Returns:
            (B, P, F) and (B, F), or twice (B, F) of pooled features.
        """
        asked = torch.tanh(self.question(question))
        if features.dim() == 2:
            joined = torch.tanh(self.position(features)) * asked
            return joined, joined
        joined = torch.tanh(self.position(features)) * asked.unsqueeze(1)
        share = torch.softmax(self.score(joined), dim=1)
        return joined, (share * joined).sum(dim=1)
