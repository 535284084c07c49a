"""ImageCaptioning.pytorch anew, from its published tensors: its captioners, its ResNet, and its sampling.

Its words are numbered from 1, and 0 is the start, the end and the padding.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models

from tests.export.imports.trunks import made_talkative

FEATURES, HIDDEN, EMBEDDING, ATTENTION = 512, 18, 12, 10
WORDS = [*"abcdefghijk", "UNK"]
LONGEST = 8
State = tuple[Tensor, Tensor]


class CaffeResNet(models.ResNet):
    """The program's ResNet, of one block a stage here: pooling and strides as in Caffe."""

    def __init__(self) -> None:
        super().__init__(models.resnet.BasicBlock, [1, 1, 1, 1])
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=0, ceil_mode=True)
        for number in (2, 3, 4):
            block: Any = getattr(self, f"layer{number}")[0]
            block.conv1.stride, block.conv2.stride = (2, 2), (1, 1)


@torch.no_grad()
def read_features(resnet: Any, image: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """``fc`` (1, D) and ``att`` (1, side * side, D) of one picture (3, H, W), as they are written to disk."""
    x = resnet.maxpool(resnet.relu(resnet.bn1(resnet.conv1(image[None]))))
    x = resnet.layer4(resnet.layer3(resnet.layer2(resnet.layer1(x))))
    att = functional.adaptive_avg_pool2d(x, [side, side])[0].permute(1, 2, 0)
    return x.mean(3).mean(2), att.reshape(1, side * side, -1)


class LSTMCore(nn.Module):
    """Gates i, f, o, then two candidates, of which the larger one enters."""

    def __init__(self) -> None:
        super().__init__()
        self.i2h = nn.Linear(EMBEDDING, 5 * HIDDEN)
        self.h2h = nn.Linear(HIDDEN, 5 * HIDDEN)

    def forward(self, xt: Tensor, state: State, more: Tensor | float = 0.0) -> tuple[Tensor, State]:
        sums = self.i2h(xt) + self.h2h(state[0][-1])
        i, f, o = torch.sigmoid(sums[:, : 3 * HIDDEN]).split(HIDDEN, 1)
        candidates = (sums[:, 3 * HIDDEN :] + more).view(-1, 2, HIDDEN)
        c = f * state[1][-1] + i * candidates.max(1).values
        h = o * torch.tanh(c)
        return h, (h[None], c[None])


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.h2att = nn.Linear(HIDDEN, ATTENTION)
        self.alpha_net = nn.Linear(ATTENTION, 1)

    def forward(self, h: Tensor, att: Tensor, p_att: Tensor) -> Tensor:
        weight = torch.softmax(self.alpha_net(torch.tanh(p_att + self.h2att(h)[:, None]))[:, :, 0], 1)
        return torch.bmm(weight[:, None], att)[:, 0]


class Captioner(nn.Module):
    """What they share: a step from a word and a state to log-probabilities."""

    layers = 1

    def __init__(self, opt: SimpleNamespace) -> None:
        super().__init__()
        self.opt = opt
        self.logit = nn.Linear(HIDDEN, len(WORDS) + 1)

    def zeros(self) -> State:
        return torch.zeros(self.layers, 1, HIDDEN), torch.zeros(self.layers, 1, HIDDEN)

    def prepared(self, fc: Tensor, att: Tensor) -> tuple[Any, Any]:
        """What does not change from word to word, and the first state."""
        raise NotImplementedError

    def next(self, word: Tensor, constant: Any, state: Any) -> tuple[Tensor, Any]:
        raise NotImplementedError

    @torch.no_grad()
    def sample(self, fc: Tensor, att: Tensor) -> tuple[list[int], float]:
        """Greedy sampling of one picture: the words without the 0 at the end, and their log-probability."""
        constant, state = self.prepared(fc, att)
        sequence, total, word = [], 0.0, torch.zeros(1, dtype=torch.long)
        for _ in range(LONGEST):
            hidden, state = self.next(word, constant, state)
            best, word = functional.log_softmax(self.logit(hidden), dim=1).max(1)
            total += best.item()
            if word.item() == 0:
                break
            sequence.append(int(word.item()))
        return sequence, total


class ShowTell(Captioner):
    def __init__(self, opt: SimpleNamespace) -> None:
        super().__init__(opt)
        self.layers = opt.num_layers
        self.img_embed = nn.Linear(FEATURES, EMBEDDING)
        kind = getattr(nn, opt.rnn_type.upper())
        self.core = kind(EMBEDDING, HIDDEN, opt.num_layers, bias=False)
        self.embed = nn.Embedding(len(WORDS) + 1, EMBEDDING)

    def prepared(self, fc: Tensor, att: Tensor) -> tuple[Any, Any]:
        zeros = self.zeros()
        _, state = self.core(self.img_embed(fc)[None], zeros if self.opt.rnn_type == "lstm" else zeros[0])
        return None, state

    def next(self, word: Tensor, constant: Any, state: Any) -> tuple[Tensor, Any]:
        output, state = self.core(self.embed(word)[None], state)
        return output[0], state


class FC(Captioner):
    def __init__(self, opt: SimpleNamespace) -> None:
        super().__init__(opt)
        self.img_embed = nn.Linear(FEATURES, EMBEDDING)
        self.core = LSTMCore()
        self.embed = nn.Embedding(len(WORDS) + 1, EMBEDDING)

    def prepared(self, fc: Tensor, att: Tensor) -> tuple[Any, Any]:
        return None, self.core(self.img_embed(fc), self.zeros())[1]

    def next(self, word: Tensor, constant: Any, state: Any) -> tuple[Tensor, Any]:
        return self.core(self.embed(word), state)


class NewFC(Captioner):
    """The picture enters whenever the state is still all zeros."""

    def __init__(self, opt: SimpleNamespace) -> None:
        super().__init__(opt)
        self.fc_embed = nn.Linear(FEATURES, EMBEDDING)
        self._core = LSTMCore()
        self.embed = nn.Embedding(len(WORDS) + 1, EMBEDDING)

    def prepared(self, fc: Tensor, att: Tensor) -> tuple[Any, Any]:
        return self.fc_embed(fc), self.zeros()

    def next(self, word: Tensor, constant: Any, state: Any) -> tuple[Tensor, Any]:
        if bool((state[0] == 0).all()):
            _, state = self._core(constant, state)
        return self._core(self.embed(word), state)


def unit(att: Tensor) -> Tensor:
    return att / torch.linalg.vector_norm(att, dim=2, keepdim=True)


class Att2in(Captioner):
    def __init__(self, opt: SimpleNamespace) -> None:
        super().__init__(opt)
        self.embed: nn.Module = nn.Embedding(len(WORDS) + 1, EMBEDDING)
        self.ctx2att = nn.Linear(FEATURES, ATTENTION)
        self.core: Any = LSTMCore()
        self.core.a2c = nn.Linear(FEATURES, 2 * HIDDEN)
        self.core.attention = Attention()

    def prepared(self, fc: Tensor, att: Tensor) -> tuple[Any, Any]:
        att = unit(att) if self.opt.norm_att_feat else att
        return (att, self.ctx2att(att)), self.zeros()

    def next(self, word: Tensor, constant: Any, state: Any) -> tuple[Tensor, Any]:
        seen = self.core.attention(state[0][-1], *constant)
        return self.core(self.embed(word), state, self.core.a2c(seen))


def att_embed(use_bn: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Linear(FEATURES, HIDDEN), nn.ReLU(), nn.Dropout(0.5)]
    if use_bn:
        layers.insert(0, nn.BatchNorm1d(FEATURES))
    if use_bn == 2:
        layers.append(nn.BatchNorm1d(HIDDEN))
    return nn.Sequential(*layers)


class Att2in2(Att2in):
    def __init__(self, opt: SimpleNamespace) -> None:
        super().__init__(opt)
        self.embed = nn.Sequential(nn.Embedding(len(WORDS) + 1, EMBEDDING), nn.ReLU(), nn.Dropout(0.5))
        self.att_embed = att_embed(opt.use_bn)
        self.ctx2att = nn.Linear(HIDDEN, ATTENTION)
        self.core.a2c = nn.Linear(HIDDEN, 2 * HIDDEN)

    def prepared(self, fc: Tensor, att: Tensor) -> tuple[Any, Any]:
        att = unit(att) if self.opt.norm_att_feat else att
        embedded = self.att_embed(att[0])[None]
        return (embedded, self.ctx2att(embedded)), self.zeros()


class UpDown(Captioner):
    layers = 2

    def __init__(self, opt: SimpleNamespace) -> None:
        super().__init__(opt)
        self.embed = nn.Sequential(nn.Embedding(len(WORDS) + 1, EMBEDDING), nn.ReLU(), nn.Dropout(0.5))
        self.fc_embed = nn.Sequential(nn.Linear(FEATURES, HIDDEN), nn.ReLU(), nn.Dropout(0.5))
        self.att_embed = att_embed(opt.use_bn)
        self.ctx2att = nn.Linear(HIDDEN, ATTENTION)
        self.core: Any = nn.Module()
        self.core.att_lstm = nn.LSTMCell(EMBEDDING + 2 * HIDDEN, HIDDEN)
        self.core.lang_lstm = nn.LSTMCell(2 * HIDDEN, HIDDEN)
        self.core.attention = Attention()

    def prepared(self, fc: Tensor, att: Tensor) -> tuple[Any, Any]:
        embedded = self.att_embed(att[0])[None]
        return (self.fc_embed(fc), embedded, self.ctx2att(embedded)), self.zeros()

    def next(self, word: Tensor, constant: Any, state: Any) -> tuple[Tensor, Any]:
        fc, att, p_att = constant
        (h1, h2), (c1, c2) = state
        h1, c1 = self.core.att_lstm(torch.cat([h2, fc, self.embed(word)], 1), (h1, c1))
        seen = self.core.attention(h1, att, p_att)
        h2, c2 = self.core.lang_lstm(torch.cat([seen, h1], 1), (h2, c2))
        return h2, (torch.stack([h1, h2]), torch.stack([c1, c2]))


CAPTIONERS: dict[str, type[Captioner]] = {
    "show_tell": ShowTell,
    "fc": FC,
    "newfc": NewFC,
    "att2in": Att2in,
    "att2in2": Att2in2,
    "updown": UpDown,
    "topdown": UpDown,  # as it was called before
}


# A seed and a factor for the weights by which pictures get different captions, of different lengths.
TALKATIVE = {
    "show_tell": (7, 6.0),
    "fc": (7, 2.0),
    "newfc": (7, 2.0),
    "att2in": (11, 2.0),
    "att2in2": (8, 3.0),
    "updown": (7, 4.0),
    "topdown": (7, 4.0),
}


def make_captioner(**opt: Any) -> tuple[Captioner, dict[str, Any]]:
    """A captioner with weights that make a difference, and its options."""
    defaults = {"rnn_type": "lstm", "num_layers": 1, "use_bn": 0, "norm_att_feat": 0, "logit_layers": 1}
    lengths = {"seq_length": LONGEST, "max_length": LONGEST, "input_att_dir": "data/cocotalk_att"}
    options = {**defaults, **lengths, **opt}
    seed, factor = TALKATIVE[options["caption_model"]]
    torch.manual_seed(seed)
    network = CAPTIONERS[options["caption_model"]](SimpleNamespace(**options))
    bias = torch.zeros(len(WORDS) + 1)
    bias[0] = 0.5
    made_talkative(network, factor, **{"logit.bias": bias})
    with torch.no_grad():
        if options["norm_att_feat"]:  # features of length 1 are faint
            network.get_parameter("core.a2c.weight").mul_(60)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.uniform_(-0.5, 0.5)
                module.running_var.uniform_(0.5, 2.0)
    return network, options
