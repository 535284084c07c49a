"""`wrap_rnn` computes what torch's own layers compute, and refuses what it cannot rewrite."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cnnrnn.core.errors import ModelError
from cnnrnn.export import CaptionModel, check_model, wrap_rnn

EMBEDDING, HIDDEN, WORDS, IMAGES, STEPS = 6, 10, 9, 3, 4


def encoder(features: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, features))


def unroll(model: Any, images: Tensor, tokens: Tensor) -> Tensor:
    """Logits (B, T, V) by the three methods, with one beam."""
    memory = model.encode(images)
    state = {name: tensor.unsqueeze(1) for name, tensor in model.initial_state(memory).items()}
    logits = []
    for column in tokens.unbind(1):
        row, state = model.step(column.unsqueeze(1), state, memory)
        logits.append(row)
    return torch.cat(logits, 1)


def torch_logits(trunk: nn.Module, embedding: nn.Module, rnn: Any, output: nn.Module, features: str) -> Any:
    """The textbook's teacher forcing over torch's own layer, for images (B, 3, H, W) and tokens (B, T)."""

    def forward(images: Tensor, tokens: Tensor) -> Tensor:
        vectors, words = trunk(images), embedding(tokens)
        start = vectors if features == "state" else vectors.new_zeros(len(vectors), HIDDEN)
        first = start.expand(rnn.num_layers, -1, -1).contiguous()
        state = (first, first) if isinstance(rnn, nn.LSTM) else first
        if features == "first_input":
            words = torch.cat((vectors.unsqueeze(1), words), 1)
        if features == "every_input":
            words = torch.cat((words, vectors.unsqueeze(1).expand(-1, words.shape[1], -1)), -1)
        hidden, _ = rnn(words, state)
        logits: Tensor = output(hidden)
        return logits[:, 1:] if features == "first_input" else logits

    return forward


@pytest.mark.parametrize("features", ["state", "first_input", "every_input"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@torch.no_grad()
def test_it_is_torchs_own_layer(kind: Any, layers: int, bias: bool, features: Any) -> None:
    torch.manual_seed(0)
    width = {"state": HIDDEN, "first_input": EMBEDDING, "every_input": 7}[features]
    size = EMBEDDING + (width if features == "every_input" else 0)
    parts = encoder(width), nn.Embedding(WORDS, EMBEDDING), kind(size, HIDDEN, layers, bias, batch_first=True)
    output = nn.Linear(HIDDEN, WORDS)
    images, tokens = torch.randn(IMAGES, 3, 16, 16), torch.randint(WORDS, (IMAGES, STEPS))
    wrapped = wrap_rnn(*parts, output, features=features)
    expected = torch_logits(*parts, output, features)(images, tokens)
    torch.testing.assert_close(unroll(wrapped, images, tokens), expected, atol=1e-5, rtol=1e-5)
    assert isinstance(wrapped, CaptionModel)
    assert check_model(wrapped, 16).ok


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell])
@torch.no_grad()
def test_cells_in_a_row_are_layers(kind: Any) -> None:
    torch.manual_seed(0)
    cells = [kind(EMBEDDING, HIDDEN), kind(HIDDEN, HIDDEN)]
    trunk, embedding, output = encoder(HIDDEN), nn.Embedding(WORDS, EMBEDDING), nn.Linear(HIDDEN, WORDS)
    images, tokens = torch.randn(IMAGES, 3, 16, 16), torch.randint(WORDS, (IMAGES, STEPS))
    features = trunk(images)
    states: list[Any] = [(features, features) if kind is nn.LSTMCell else features for _ in cells]
    expected = []
    for column in tokens.unbind(1):
        value = embedding(column)
        for number, cell in enumerate(cells):
            states[number] = cell(value, states[number])
            value = states[number][0] if kind is nn.LSTMCell else states[number]
        expected.append(output(value))
    found = unroll(wrap_rnn(trunk, embedding, cells, output), images, tokens)
    torch.testing.assert_close(found, torch.stack(expected, 1), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_given_initial_state_is_used() -> None:
    torch.manual_seed(0)
    first, second = nn.Linear(5, HIDDEN), nn.Linear(5, HIDDEN)
    rnn = nn.LSTM(EMBEDDING, HIDDEN, batch_first=True)
    parts = encoder(5), nn.Embedding(WORDS, EMBEDDING), rnn, nn.Linear(HIDDEN, WORDS)
    wrapped = wrap_rnn(*parts, initial=lambda vectors: (first(vectors), second(vectors)[None]))
    images, tokens = torch.randn(IMAGES, 3, 16, 16), torch.randint(WORDS, (IMAGES, STEPS))
    vectors = parts[0](images)
    hidden, _ = rnn(parts[1](tokens), (first(vectors)[None], second(vectors)[None]))
    torch.testing.assert_close(unroll(wrapped, images, tokens), parts[3](hidden), atol=1e-5, rtol=1e-5)


REFUSED = [
    (nn.LSTM(EMBEDDING, HIDDEN, bidirectional=True), {}, "bidirectional"),
    (nn.LSTM(EMBEDDING, HIDDEN, proj_size=4), {}, "proj_size=4"),
    (nn.RNN(EMBEDDING, HIDDEN), {}, "holds a RNN"),
    ([], {}, "empty list"),
    ([nn.LSTMCell(EMBEDDING, HIDDEN), nn.GRUCell(HIDDEN, HIDDEN)], {}, "one kind and one size"),
    (nn.LSTM(EMBEDDING + 1, HIDDEN), {}, "gives 6 values and the recurrent layer takes 7"),
    (nn.LSTM(EMBEDDING, HIDDEN), {"features": "attention"}, "'attention' is none of"),
]


@pytest.mark.parametrize(("rnn", "options", "words"), REFUSED, ids=[words for _, _, words in REFUSED])
def test_what_cannot_be_rewritten_is_refused(rnn: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        wrap_rnn(encoder(HIDDEN), nn.Embedding(WORDS, EMBEDDING), rnn, nn.Linear(HIDDEN, WORDS), **options)


def test_features_that_do_not_fit_are_explained() -> None:
    parts = nn.Embedding(WORDS, EMBEDDING), nn.LSTM(EMBEDDING, HIDDEN), nn.Linear(HIDDEN, WORDS)
    assert "gives 7 features and the hidden state has 10" in str(
        check_model(wrap_rnn(encoder(7), *parts), 16)
    )
    wrapped = wrap_rnn(encoder(HIDDEN), *parts, initial=lambda vectors: vectors)
    assert "returned 1 tensor(s) for the initial state; an LSTM takes (h0, c0)" in str(
        check_model(wrapped, 16)
    )
    behind = nn.Embedding(WORDS, EMBEDDING), nn.LSTM(EMBEDDING + 3, HIDDEN), nn.Linear(HIDDEN, WORDS)
    wrapped = wrap_rnn(encoder(7), *behind, features="every_input")
    assert "gives 7 features and the recurrent layer has room for 3" in str(check_model(wrapped, 16))
