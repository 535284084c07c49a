"""Two captioners that nobody has a layout for, with the key maps that say what their tensors are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet18, squeezenet1_1

from tests.export.imports.trunks import made_talkative, trained_resnet

WORDS = ["[PAD]", *"abcdefghij", "[EOS]"]
START = END = WORDS.index("[EOS]")  # as many translators have it
FEATURES, HIDDEN, EMBEDDING, ATTENTION = 512, 16, 10, 12
LONGEST = 8

KERAS_LIKE = r"""
ignore = ["step", "cnn\\.classifier\\..*"]

[model]
encoder = "squeezenet1_1"
cell = "gru"
conditioning = "every_step"
attention = "additive"
hidden = 16
embedding = 10
attention_size = 12

[vocabulary]
start = "[EOS]"
end = "[EOS]"
pad = "[PAD]"

[image]
height = 64
width = 64

[search]
max_length = 8

[keys]
'encoder\.trunk\.(.*)' = 'cnn.\1'
"decoder.embedding.weight" = "words.weight"
# rows are the gates z, r, n of (word, picture, context), one below the other and the other way round
"decoder.word_gates.weight" = { from = "cell.kernel", transpose = true, columns = ":10", gates = "zrn" }
"decoder.image_gates.weight" = { from = "cell.kernel", transpose = true, columns = "10:522", gates = "zrn" }
"decoder.context_gates.weight" = { from = "cell.kernel", transpose = true, columns = "522:", gates = "zrn" }
"decoder.word_gates.bias" = { from = "cell.bias", rows = ":48", gates = "zrn" }
"decoder.cells.0.recurrent.weight" = { from = "cell.recurrent", transpose = true, gates = "zrn" }
"decoder.cells.0.recurrent.bias" = { from = "cell.bias", rows = "48:", gates = "zrn" }
"decoder.attention.key.weight" = "look.key.weight"
"decoder.attention.key.bias" = { sum = ["look.key.bias", "look.query.bias"] }
'decoder\.attention\.(query|score)\.weight' = 'look.\1.weight'
'decoder\.output\.(weight|bias)' = 'head.\1'
"""


class KerasLike(nn.Module):
    """A captioner with a GRU as Keras lays it out (reset after the product), its own names and gate order."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.words = nn.Embedding(len(WORDS), EMBEDDING)
        self.look = nn.ModuleDict(
            {
                "key": nn.Linear(FEATURES, ATTENTION),
                "query": nn.Linear(HIDDEN, ATTENTION),
                "score": nn.Linear(ATTENTION, 1, bias=False),
            }
        )
        self.cell = nn.ParameterDict(
            {
                "kernel": torch.randn(EMBEDDING + 2 * FEATURES, 3 * HIDDEN) * 0.03,
                "recurrent": torch.randn(HIDDEN, 3 * HIDDEN) * 0.3,
                "bias": torch.randn(6 * HIDDEN) * 0.3,
            }
        )
        self.head = nn.Linear(HIDDEN, len(WORDS))
        made_talkative(self, 3.0)
        self.cnn = squeezenet1_1()

    @torch.no_grad()
    def sample(self, image: Tensor) -> list[int]:
        grid = self.cnn.features(image[None])[0].flatten(1).T
        keys, h, word, said = self.look["key"](grid), torch.zeros(HIDDEN), START, []
        while len(said) < LONGEST:
            scores = self.look["score"](torch.tanh(keys + self.look["query"](h)))[:, 0]
            context = functional.softmax(scores, 0) @ grid
            entering = torch.cat([self.words.weight[word], grid.mean(0), context]) @ self.cell["kernel"]
            bias = self.cell["bias"]
            zx, rx, nx = (entering + bias[: 3 * HIDDEN]).chunk(3)
            zh, rh, nh = (h @ self.cell["recurrent"] + bias[3 * HIDDEN :]).chunk(3)
            z, r = torch.sigmoid(zx + zh), torch.sigmoid(rx + rh)
            h = z * h + (1 - z) * torch.tanh(nx + r * nh)
            word = int(self.head(h).argmax())
            said.append(word)
            if word == END:
                break
        return said


PLAIN = """
[rnn]
encoder = "resnet18"
features = "first_input"
norm = true
layers = 2
hidden = 16
embedding = 10

[vocabulary]
start = "[EOS]"
end = "[EOS]"

[image]
height = 64
width = 64

[keys]
'encoder\\.trunk\\.(.*)' = 'encoderCNN.resnet.\\1'
'encoder\\.linear\\.(.*)' = 'encoderCNN.embed.\\1'
'encoder\\.norm\\.(.*)' = 'encoderCNN.bn.\\1'
"embedding.weight" = "decoderRNN.embed.weight"
'rnn\\.(.*)' = 'decoderRNN.lstm.\\1'
'output\\.(.*)' = 'decoderRNN.linear.\\1'
"""


class Textbook(nn.Module):
    """Show and Tell as tutorials write it: the picture, normalised, is the first word."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        resnet: Any = trained_resnet(resnet18)
        self.encoderCNN = nn.ModuleDict(
            {"embed": nn.Linear(FEATURES, EMBEDDING), "bn": nn.BatchNorm1d(EMBEDDING, momentum=0.01)}
        )
        self.decoderRNN = nn.ModuleDict(
            {
                "embed": nn.Embedding(len(WORDS), EMBEDDING),
                "lstm": nn.LSTM(EMBEDDING, HIDDEN, 2, batch_first=True),
                "linear": nn.Linear(HIDDEN, len(WORDS)),
            }
        )
        made_talkative(self, 8.0)
        del resnet.fc
        self.encoderCNN["resnet"] = resnet

    @torch.no_grad()
    def sample(self, image: Tensor) -> list[int]:
        resnet: Any = self.encoderCNN["resnet"]
        layers = [layer for name, layer in resnet.named_children() if name != "avgpool"]
        features = nn.Sequential(*layers)(image[None]).mean((2, 3))
        inputs = self.encoderCNN["bn"](self.encoderCNN["embed"](features))[:, None]
        _, states = self.decoderRNN["lstm"](inputs)
        word, said = START, []
        while len(said) < LONGEST:
            embedded = self.decoderRNN["embed"](torch.tensor([[word]]))
            hidden, states = self.decoderRNN["lstm"](embedded, states)
            word = int(self.decoderRNN["linear"](hidden[0, 0]).argmax())
            said.append(word)
            if word == END:
                break
        return said
