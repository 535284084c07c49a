"""The textbook captioner, as people write it. Nothing in this file knows of cnnrnn."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet18


class CaptionNet(nn.Module):
    """ResNet-18, whose 512 features are both h0 and c0 of an LSTM, and a linear layer to the words."""

    def __init__(self, vocabulary: int, embedding: int = 64) -> None:
        super().__init__()
        self.cnn = resnet18(weights=None)
        self.cnn.fc = nn.Identity()
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.lstm = nn.LSTM(embedding, 512, batch_first=True)
        self.linear = nn.Linear(512, vocabulary)

    def forward(self, images: Tensor, captions: Tensor) -> Tensor:
        """Logits (B, T, V) of the word after each of ``captions`` (B, T)."""
        features = self.cnn(images).unsqueeze(0)
        hidden, _ = self.lstm(self.embedding(captions), (features, features))
        return self.linear(hidden)


class ThreeMethods:
    """The same network as cnnrnn wants it where `wrap_rnn` does not fit: three methods, no base class."""

    def __init__(self, net: CaptionNet) -> None:
        self.net = net

    def encode(self, image: Tensor) -> dict[str, Tensor]:
        """Once for a picture: what every step may look at."""
        return {"features": self.net.cnn(image)}

    def initial_state(self, memory: dict[str, Tensor]) -> dict[str, Tensor]:
        """The recurrent state before the first word, (B, 512) each."""
        return {"h": memory["features"], "c": memory["features"]}

    def step(
        self, tokens: Tensor, state: dict[str, Tensor], memory: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """One word for B pictures of K beams: the LSTM's own equations over its own weights."""
        lstm = self.net.lstm
        gates = functional.linear(self.net.embedding(tokens), lstm.weight_ih_l0, lstm.bias_ih_l0)
        gates = gates + functional.linear(state["h"], lstm.weight_hh_l0, lstm.bias_hh_l0)
        admit, forget, new, show = gates.chunk(4, dim=-1)
        c = torch.sigmoid(forget) * state["c"] + torch.sigmoid(admit) * torch.tanh(new)
        h = torch.sigmoid(show) * torch.tanh(c)
        return self.net.linear(h), {"h": h, "c": c}
