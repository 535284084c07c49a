"""Make group_goldens.json anew: diverse beam search as Transformers did it, which version 5 has no more.

4.56.2 is the last release that holds it; from 4.57 on it is fetched from a hub at run time. It goes into a
folder of its own, since it needs older packages than the tests do:

    python -m pip install --target /tmp/old --no-deps transformers==4.56.2
    python -m pip install --target /tmp/old --no-deps 'huggingface_hub<1' 'tokenizers<0.23' requests
    PYTHONPATH=/tmp/old:. python tests/search/make_group_goldens.py

Three things are arranged so that only the search itself is compared. The padding token never comes by
itself, because a group that is done goes on as padding, for which the groups after it are penalised. There
is one end token, because of several the old code shows only the first. And the vocabulary is large enough
for every beam to be alive.

One rule differs and is left out, as null: with early_stopping true, a group that its ends fill in the very
last step does not look at what is cut off in that step, however much better. Transformers 5 does, and so
does the search here.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import BeamSearchScorer, GenerationConfig

from tests.search.hashed_model import END, PAD, hashed_model
from tests.search.transformers_search import PrefixModel

START = 0
GOLDENS = Path(__file__).with_name("group_goldens.json")

_WIDTHS = ((2, 2), (4, 2), (6, 2), (3, 3), (6, 3), (4, 4), (8, 4))  # beams, groups
_LENGTHS = ((1, 6), (0, 4), (3, 8), (1, 1), (2, 5))  # min_length, max_length
_PENALTIES = (1.0, 0.0, -1.0, 0.6, 2.0)
_DIVERSITIES = (0.2, 0.5, 1.0, 2.0)
_STOPPING = (True, "never", False)
_MODELS = ((14, 4.0, 1.0), (24, 3.0, 2.0), (40, 6.0, 3.0))  # vocabulary, spread, end_bonus


def cases() -> Iterator[dict[str, Any]]:
    """Each value of one option meets each of another sooner or later: the lengths have few common factors."""
    turns: list[Iterator[Any]] = [
        itertools.cycle(values) for values in (_LENGTHS, _PENALTIES, _DIVERSITIES, _STOPPING, _MODELS)
    ]
    for number, ((beams, groups), _) in enumerate(itertools.product(_WIDTHS, range(9))):
        (low, high), penalty, diversity, stopping, model = (next(turn) for turn in turns)
        if number % 12 == 11:
            next(turns[3])  # three and twelve have a common factor
        yield {
            "seeds": [10 * number, 10 * number + 1],
            "model": model,
            "options": {
                "beams": beams,
                "num_beam_groups": groups,
                "min_length": low,
                "max_length": high,
                "length_penalty": penalty,
                "diversity_penalty": diversity,
                "early_stopping": stopping,
            },
        }


class Scorer(BeamSearchScorer):
    """Tells for each picture whether a group was filled by an end in the last step that there could be."""

    filled_last: tuple[bool, ...] = ()

    def finalize(self, input_ids, *args, max_length, **kwargs):
        late = [
            bool(done) and any(len(tokens) == max_length - 1 for _, tokens, _ in group.beams)
            for done, group in zip(self._done, self._beam_hyps, strict=True)
        ]
        groups = self.num_beam_groups
        Scorer.filled_last = tuple(any(late[at : at + groups]) for at in range(0, len(late), groups))
        return super().finalize(input_ids, *args, max_length=max_length, **kwargs)


def answers(case: dict[str, Any]) -> list[list[dict[str, Any]] | None]:
    """What Transformers answers for each picture, best first; None where its rule is another."""
    options = case["options"]
    vocabulary, spread, bonus = case["model"]
    models = [hashed_model(seed, vocabulary, spread, bonus) for seed in case["seeds"]]
    config = GenerationConfig(
        num_beams=options["beams"],
        num_beam_groups=options["num_beam_groups"],
        num_return_sequences=options["beams"],
        diversity_penalty=options["diversity_penalty"],
        min_new_tokens=options["min_length"] or None,
        max_new_tokens=options["max_length"],
        length_penalty=options["length_penalty"],
        early_stopping=options["early_stopping"],
        bos_token_id=START,
        eos_token_id=[END],
        pad_token_id=PAD,
        do_sample=False,
        use_cache=False,
        return_dict_in_generate=True,
        output_scores=True,
    )
    prompt = torch.full((len(models), 1), START)
    with torch.inference_mode():
        found = PrefixModel.of(models, vocabulary).generate(
            prompt,
            generation_config=config,
            attention_mask=torch.ones_like(prompt),
            picture=torch.arange(len(models)),
        )
    rows = [
        {"tokens": _written(row), "score": round(score, 6)}
        for row, score in zip(found.sequences[:, 1:].tolist(), found.sequences_scores.tolist(), strict=True)
    ]
    beams, strict = options["beams"], options["early_stopping"] is True
    return [
        None if strict and late else rows[image * beams : (image + 1) * beams]
        for image, late in enumerate(Scorer.filled_last)
    ]


def _written(row: list[int]) -> list[int]:
    """A row without its padding; its beam indices, which would say the length, are wrong for groups."""
    return row[: row.index(END) + 1] if END in row else [token for token in row if token != PAD]


def main() -> None:
    transformers.generation.utils.BeamSearchScorer = Scorer
    lines = [json.dumps({**case, "answers": answers(case)}) for case in cases()]
    text = ",\n".join(lines)
    made_with = json.dumps(f"Transformers {transformers.__version__}")
    GOLDENS.write_text(f'{{"made_with": {made_with}, "cases": [\n{text}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
