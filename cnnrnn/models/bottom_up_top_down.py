"""The decoder of two cells, one that attends and one that speaks (Anderson et al. 2018, arXiv 1707.07998)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cnnrnn.models.attention import AdditiveAttention
from cnnrnn.models.cells import CELLS, GRUCell, LSTMCell
from cnnrnn.models.decoder import Decoder


class BottomUpTopDownDecoder(Decoder):
    """The attention cell reads the word, the image's mean feature and the language cell's last hidden state;
    its own hidden state asks where to look; the language cell reads both (section 3.2, with an LSTM).

    The attention cell is layer 0 of the state (``h0``, ``c0``), the language cells are the ``layers`` above
    (the paper has one). ``conditioning = "every_step"`` starts from zeros, as the paper does;
    ``"initial_state"`` makes the state of the image. A GRU takes the LSTM's place as it is.
    """

    sees_image = True

    def _cell_kinds(self) -> Sequence[type[LSTMCell] | type[GRUCell]]:
        return [CELLS[self.config.cell]] * (1 + self.config.layers)

    def _add_attention(self, features: int) -> None:
        config, gates = self.config, self.word_gates.out_features
        self.attention = AdditiveAttention(features, config.hidden, config.attention_size)
        self.top_down_gates = nn.Linear(config.hidden, gates, bias=False)
        self.context_gates = nn.Linear(features, gates, bias=False)

    def _attended(self, features: Tensor) -> dict[str, Tensor]:
        return {"keys": self.attention.keys(features), "values": self.context_gates(features)}

    def _read(
        self, gates: Tensor, state: dict[str, Tensor], memory: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor], Tensor | None]:
        top = state[f"h{len(self.cells) - 1}"]
        looking = self.cells[0](
            gates + self.top_down_gates(top), tuple(state[f"{name}0"] for name in self.state_names)
        )
        alignment = self.attention(looking[0], memory["keys"])
        context = alignment @ memory["values"]
        output, following, _ = self._advance(
            self.between[0](self.dropout(looking[0])) + context, state, first=1
        )
        attended = {f"{name}0": value for name, value in zip(self.state_names, looking, strict=True)}
        return output, attended | following, alignment
