"""One step of each decoder against its paper, written out with torch's own cells."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from cnnrnn.models.adaptive import AdaptiveDecoder
from cnnrnn.models.bottom_up_top_down import BottomUpTopDownDecoder
from cnnrnn.models.config import ModelConfig
from cnnrnn.models.decoder import Decoder
from cnnrnn.models.decoders import build_decoder

B, K, P, D, H, V = 2, 3, 5, 6, 7, 9


def made(**options: object) -> tuple[Decoder, Tensor, dict[str, Tensor], Tensor]:
    """A decoder, features of an image, a state and tokens; of state and tokens beam 1 of image 1 is read."""
    torch.manual_seed(0)
    config = ModelConfig(hidden=H, embedding=4, attention_size=3, **options)  # type: ignore[arg-type]
    decoder = build_decoder(config, D, V).eval()
    features = torch.randn(B, P, D)
    names = decoder.initial_state(decoder.memory(features))
    return decoder, features, {name: torch.randn(B, K, H) for name in names}, torch.randint(V, (B, K))


def like_torch(cell: nn.Module, inputs: list[Tensor], bias: Tensor) -> nn.LSTMCell | nn.GRUCell:
    """torch's cell of the weights of ours, whose inputs are those that these matrices are for."""
    weight = torch.cat(inputs, dim=1)
    kind = nn.LSTMCell if len(weight) == 4 * H else nn.GRUCell
    oracle = kind(weight.shape[1], H)
    recurrent = cell.recurrent
    assert isinstance(recurrent, nn.Linear)
    oracle.weight_ih.data, oracle.weight_hh.data = weight, recurrent.weight.data[: len(weight)]
    oracle.bias_ih.data = bias
    oracle.bias_hh.data = torch.zeros_like(bias) if recurrent.bias is None else recurrent.bias.data
    return oracle


def parts(state: dict[str, Tensor], layer: int) -> tuple[Tensor, ...]:
    """The state of a layer of beam 1 of image 1, as a batch of one."""
    return tuple(state[name][1, 1][None] for name in (f"h{layer}", f"c{layer}") if name in state)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_bottom_up_top_down_follows_anderson(cell: str) -> None:
    decoder, features, state, tokens = made(
        cell=cell, attention="bottom_up_top_down", conditioning="every_step"
    )
    assert isinstance(decoder, BottomUpTopDownDecoder)
    assert sorted({name[-1] for name in state}) == ["0", "1"]
    logits, following, alignment = decoder.step(tokens, state, decoder.memory(features))  # type: ignore[misc]

    word, positions = decoder.embedding(tokens[1, 1]), features[1]
    attends = like_torch(
        decoder.cells[0],
        [layer.weight.data for layer in (decoder.top_down_gates, decoder.image_gates, decoder.word_gates)],
        decoder.word_gates.bias.data,
    )
    first = torch.cat([state["h1"][1, 1], positions.mean(0), word])[None]
    hidden = first_of(attends(first, given(parts(state, 0))))
    attention = decoder.attention
    energies = [
        attention.score.weight[0] @ torch.tanh(attention.key(position) + attention.query.weight @ hidden[0])
        for position in positions
    ]
    wanted = torch.stack(energies).softmax(0)
    torch.testing.assert_close(alignment[1, 1], wanted)
    between = decoder.between[0]
    assert isinstance(between, nn.Linear)
    speaks = like_torch(
        decoder.cells[1], [decoder.context_gates.weight.data, between.weight.data], between.bias.data
    )
    second = torch.cat([wanted @ positions, hidden[0]])[None]
    spoken = first_of(speaks(second, given(parts(state, 1))))
    torch.testing.assert_close(following["h0"][1, 1], hidden[0])
    torch.testing.assert_close(following["h1"][1, 1], spoken[0])
    torch.testing.assert_close(logits[1, 1], decoder.output(spoken[0]))


def given(state: tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
    """As torch's cells take it."""
    return state[0] if len(state) == 1 else state


def first_of(result: Tensor | tuple[Tensor, ...]) -> Tensor:
    """The hidden state of what torch's cells give."""
    return result[0] if isinstance(result, tuple) else result


def test_adaptive_follows_lu() -> None:
    decoder, features, state, tokens = made(attention="adaptive", conditioning="every_step")
    assert isinstance(decoder, AdaptiveDecoder)
    logits, following, alignment = decoder.step(tokens, state, decoder.memory(features))  # type: ignore[misc]

    x = torch.cat([decoder.embedding(tokens[1, 1]), features[1].mean(0)])[None]
    weights = torch.cat([decoder.word_gates.weight, decoder.image_gates.weight], dim=1).data
    oracle = like_torch(decoder.cells[0], [weights[: 4 * H]], decoder.word_gates.bias.data[: 4 * H])
    h, m = oracle(x, parts(state, 0))
    recurrent = decoder.cells[0].recurrent
    assert isinstance(recurrent, nn.Linear)
    gate = x[0] @ weights[4 * H :].T + decoder.word_gates.bias[4 * H :]
    gate = gate + state["h0"][1, 1] @ recurrent.weight[4 * H :].T
    sentinel = gate.sigmoid() * m[0].tanh()
    torch.testing.assert_close((following["h0"][1, 1], following["c0"][1, 1]), (h[0], m[0]))

    attention = decoder.attention
    values = decoder.position(features[1]).relu()
    asked, score = attention.query.weight @ h[0], attention.score.weight[0]
    z = torch.stack([score @ torch.tanh(attention.key(value) + asked) for value in values])
    alpha = z.softmax(0)
    beta = torch.cat([z, (score @ torch.tanh(decoder.sentinel_key(sentinel) + asked))[None]]).softmax(0)[-1]
    torch.testing.assert_close(alignment[1, 1], (1 - beta) * alpha)
    torch.testing.assert_close(1 - alignment[1, 1].sum(), beta)
    context = beta * sentinel + (1 - beta) * (alpha @ values)
    torch.testing.assert_close(logits[1, 1], decoder.output(context + h[0]))


def test_the_sentinel_is_the_top_cells() -> None:
    decoder, *_ = made(attention="adaptive", layers=3)
    assert [cell.gates for cell in decoder.cells] == [4, 4, 5]


@pytest.mark.parametrize("attention", ["none", "bottom_up_top_down"])
def test_residual_layers_add_their_input_from_the_second_on(attention: str) -> None:
    """Of cells that forget all and say nothing new, what comes out is what the lowest of them said."""
    decoder, features, state, tokens = made(
        cell="gru", attention=attention, layers=3, residual=True, conditioning="every_step"
    )
    lowest = len(decoder.cells) - 3
    for cell, entering in zip(decoder.cells[lowest + 1 :], decoder.between[lowest:], strict=True):
        for parameter in (*cell.parameters(), *entering.parameters()):
            nn.init.zeros_(parameter)
    silent = {name: value if name <= f"h{lowest}" else 0 * value for name, value in state.items()}
    logits, following, *_ = decoder.step(tokens, silent, decoder.memory(features))
    torch.testing.assert_close(logits, decoder.output(following[f"h{lowest}"]))
    assert not following[f"h{lowest + 1}"].any(), "the sum is an output, not a state"


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_forget_gates_start_open(cell: str) -> None:
    for layer_norm, attention in itertools.product((False, True), ("additive", "bottom_up_top_down")):
        decoder, *_ = made(cell=cell, attention=attention, layers=2, layer_norm=layer_norm)
        biases = [layer.bias for layer in (decoder.word_gates, *decoder.between)]
        if layer_norm:
            assert biases == [None] * len(biases), "the normalisation has its own"
            biases = [cell.norm_input.bias for cell in decoder.cells]  # type: ignore[union-attr]
        for bias in biases:
            assert isinstance(bias, Tensor)
            assert bool((bias[H : 2 * H] == 1).all()) == (cell == "lstm")
