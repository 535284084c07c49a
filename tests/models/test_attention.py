"""Attention against its formula written out with loops."""

import torch

from cnnrnn.models.attention import AdditiveAttention, MultiplicativeAttention


def test_additive_follows_bahdanau() -> None:
    torch.manual_seed(0)
    attention = AdditiveAttention(features=6, hidden=4, size=5)
    features, hidden = torch.randn(2, 3, 6), torch.randn(2, 2, 4)
    alignment = attention(hidden, attention.keys(features))
    assert alignment.shape == (2, 2, 3)
    for image in range(2):
        for beam in range(2):
            query = attention.query.weight @ hidden[image, beam]
            energies = [
                attention.score.weight[0] @ torch.tanh(attention.key(features[image, position]) + query)
                for position in range(3)
            ]
            torch.testing.assert_close(alignment[image, beam], torch.stack(energies).softmax(0))


def test_multiplicative_follows_luong() -> None:
    torch.manual_seed(0)
    attention = MultiplicativeAttention(features=6, hidden=4)
    features, hidden = torch.randn(2, 3, 6), torch.randn(2, 2, 4)
    alignment = attention(hidden, attention.keys(features))
    for image in range(2):
        for beam in range(2):
            energies = [hidden[image, beam] @ attention.key.weight @ features[image, p] for p in range(3)]
            torch.testing.assert_close(alignment[image, beam], torch.stack(energies).softmax(0))
