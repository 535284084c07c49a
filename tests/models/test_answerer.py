"""The model that answers questions: what a question's reading depends on, and sharing pictures."""

from __future__ import annotations

import pytest
import torch

from cnnrnn.core.errors import ConfigError
from cnnrnn.models import Answerer, ModelConfig, build_model


def answerer(**changes: object) -> Answerer:
    torch.manual_seed(0)
    options = {
        "encoder": "squeezenet1_1",
        "question": "gru",
        "question_embedding": 8,
        "question_hidden": 12,
        "fusion": 16,
        "cell": "lstm",
        "hidden": 16,
        "embedding": 8,
        "attention_size": 8,
        **changes,
    }
    model = build_model(ModelConfig.from_dict(options), 11, 9)
    assert isinstance(model, Answerer)
    return model.eval()


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_question_is_read_to_its_end(cell: str) -> None:
    """As torch's own recurrent layer reads each alone."""
    model = answerer(question=cell).question
    question = torch.randint(0, 9, (4, 6))
    length = torch.tensor([1, 6, 3, 5])
    layer = (torch.nn.LSTM if cell == "lstm" else torch.nn.GRU)(8, 12, batch_first=True)
    state = {
        "weight_ih_l0": model.word_gates.weight,
        "bias_ih_l0": model.word_gates.bias,
        "weight_hh_l0": model.cell.recurrent.weight,
        "bias_hh_l0": torch.zeros(48) if cell == "lstm" else model.cell.recurrent.bias,
    }
    layer.load_state_dict(state)
    with torch.no_grad():
        found = model(question, length)
        for row in range(4):
            words = model.embedding(question[row : row + 1, : length[row]])
            torch.testing.assert_close(found[row], layer(words)[0][0, -1])


@pytest.mark.parametrize("features", ["grid", "pooled"])
def test_pictures_that_are_shared_answer_as_if_each_had_its_own(features: str) -> None:
    model = answerer(features=features, attention="additive" if features == "grid" else "none")
    pictures = torch.randn(2, 3, 64, 64)
    tokens, question = torch.randint(0, 11, (3, 4)), torch.randint(0, 9, (3, 5))
    length, rows = torch.tensor([5, 2, 4]), torch.tensor([1, 0, 1])
    with torch.no_grad():
        shared = model(pictures, tokens, question, length, rows=rows)
        torch.testing.assert_close(shared, model(pictures[rows], tokens, question, length))
        other = model(pictures, tokens, question.flip(0), length, rows=rows)
    assert shared.shape == (3, 4, 11)
    assert not torch.allclose(shared, other, atol=1e-4)


def test_the_question_decides_where_it_looks() -> None:
    model = answerer()
    pictures = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        seen = model.encode_image(pictures)["features"]
        looks = [
            model.fusion(seen, model.question(torch.tensor([[word]]), torch.tensor([1])))[1]
            for word in (1, 2)
        ]
    assert not torch.allclose(*looks, atol=1e-4)


def test_an_unknown_cell_is_refused() -> None:
    with pytest.raises(ConfigError, match="question = 'bert' must be one of none, lstm, gru"):
        ModelConfig.from_dict({"question": "bert"})
