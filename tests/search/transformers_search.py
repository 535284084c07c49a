"""Transformers' `generate` over a step model that is a function of the prefix, without a cache.

The model is called with the whole prefix at every step, so nothing of this package takes part: neither its
states, nor its pointers, nor its graphs. What an option here has no name for in Transformers is said with
`prefix_allowed_tokens_fn`: a forced prefix, and phrases, over a plain dictionary of prefixes.

One choice differs. Transformers keeps K beams whatever is allowed: those that nothing began, and those that
have ended already, go on with the score -1e9, and their ends can fill the pool of finished hypotheses. Here
they never enter it. So where an option restricts what may come, a logits processor takes such beams out
(-inf); everywhere else Transformers runs as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.generation import GenerationMixin
from transformers.modeling_outputs import CausalLMOutput

from cnnrnn.core.search import SearchOptions
from tests.runtime.reference_search import StepModel

# A hypothesis below this is what Transformers fills its pool with, not a finished one.
JUNK = -1e7


@dataclass(frozen=True)
class Answer:
    """A hypothesis as Transformers gives it; ``score`` is None for greedy search, which has none."""

    tokens: tuple[int, ...]
    score: float | None


class PrefixConfig(PretrainedConfig):
    model_type = "cnnrnn-prefix"


class PrefixModel(PreTrainedModel, GenerationMixin):
    """Logits of the next token for each row of ``input_ids`` (R, L), of the picture ``picture`` (R)."""

    config_class = PrefixConfig
    main_input_name = "input_ids"

    def __init__(self, models: Sequence[StepModel], vocabulary: int) -> None:
        super().__init__(PrefixConfig(vocab_size=vocabulary, is_encoder_decoder=False, use_cache=False))
        self.models = list(models)
        self.anchor = torch.nn.Parameter(torch.zeros(1))  # generate asks a model for its device

    @classmethod
    @cache
    def of_size(cls, vocabulary: int) -> PrefixModel:
        return cls([], vocabulary).eval()

    @classmethod
    def of(cls, models: Sequence[StepModel], vocabulary: int) -> PrefixModel:
        """One that is there already, since making one takes longer than a search."""
        made = cls.of_size(vocabulary)
        made.models = list(models)
        return made

    def forward(self, input_ids: torch.Tensor, picture: torch.Tensor, attention_mask=None, **unused):
        rows = [
            torch.from_numpy(self.models[int(image)](tuple(row[1:])))
            for row, image in zip(input_ids.tolist(), picture.tolist(), strict=True)
        ]
        return CausalLMOutput(logits=torch.stack(rows)[:, None])

    def prepare_inputs_for_generation(self, input_ids, picture=None, attention_mask=None, **unused):
        return {"input_ids": input_ids, "picture": picture}


class OnlyTheLiving(LogitsProcessor):
    """Take out the beams that nothing began, which are all but the first, and those that have ended."""

    def __init__(self, beams: int, ends: tuple[int, ...]) -> None:
        self.beams, self.ends = beams, torch.tensor(ends)

    def __call__(self, input_ids, scores):
        dead = torch.isin(input_ids[:, 1:], self.ends).any(dim=1)
        if input_ids.shape[1] == 1:
            dead = torch.arange(len(scores)) % self.beams != 0
        return scores.masked_fill(dead[:, None], -torch.inf)


def generate(
    start: int, models: Sequence[StepModel], vocabulary: int, ends: tuple[int, ...], options: SearchOptions
) -> list[list[Answer]]:
    """The answers for each model's picture, best first, what is not finished left out."""
    if isinstance(options.max_length, tuple):
        return [
            _generate(start, models, vocabulary, ends, options, [image])[0] for image in range(len(models))
        ]
    return _generate(start, models, vocabulary, ends, options, list(range(len(models))))


def _generate(start, models, vocabulary, ends, options: SearchOptions, images: list[int]):
    greedy = options.beams == 1
    config = GenerationConfig(
        num_beams=options.beams,
        num_return_sequences=options.n_best,
        max_new_tokens=options.max_lengths(len(models))[images[0]],
        min_new_tokens=options.min_length or None,
        length_penalty=None if greedy else float(options.length_penalty),
        early_stopping=None if greedy else options.early_stopping,
        repetition_penalty=float(options.repetition_penalty),
        no_repeat_ngram_size=options.no_repeat_ngram_size,
        bad_words_ids=[list(words) for words in options.bad_words_ids] or None,
        suppress_tokens=list(options.suppress_tokens) or None,
        do_sample=False,
        bos_token_id=start,
        eos_token_id=list(ends),
        pad_token_id=ends[0],
        use_cache=False,
        return_dict_in_generate=True,
        output_scores=True,
    )
    processors = LogitsProcessorList()
    if not greedy and restricts(options, vocabulary, ends):
        processors.append(OnlyTheLiving(options.beams, ends))
    prompt = torch.full((len(images), 1), start)
    with torch.inference_mode():
        found = PrefixModel.of(models, vocabulary).generate(
            prompt,
            generation_config=config,
            attention_mask=torch.ones_like(prompt),
            picture=torch.tensor(images),
            logits_processor=processors,
            prefix_allowed_tokens_fn=_allowed(models, vocabulary, ends, options, images),
        )
    sequences = found.sequences[:, 1:].tolist()
    if greedy:
        return [[Answer(_up_to_the_end(row, ends), None)] for row in sequences]
    lengths = (found.beam_indices >= 0).sum(dim=1).tolist()
    rows = [
        Answer(tuple(row[:length]), score)
        for row, length, score in zip(sequences, lengths, found.sequences_scores.tolist(), strict=True)
    ]
    return [
        [row for row in rows[first : first + options.n_best] if (row.score or 0.0) > JUNK]
        for first in range(0, len(rows), options.n_best)
    ]


def restricts(options: SearchOptions, vocabulary: int, ends: tuple[int, ...]) -> bool:
    """Whether there may be fewer candidates than a full search keeps, so that dead beams would matter."""
    banned = len(options.suppress_tokens) + len(options.bad_words_ids)
    repeated = options.longest if options.no_repeat_ngram_size else 0
    few = vocabulary - len(ends) - banned - repeated < (1 + len(ends)) * options.beams
    return few or bool(options.prefix) or options.phrases is not None


def _allowed(models, vocabulary, ends, options: SearchOptions, images: list[int]):
    if not options.prefix and options.phrases is None:
        return None
    prefixes = options.prefixes(len(models))
    phrases = options.phrases_of(len(models))
    followers = [_followers(phrases[image].sequences, ends) if phrases else None for image in images]

    def allowed(batch: int, fed: torch.Tensor) -> list[int]:
        tokens = tuple(fed.tolist()[1:])
        prefix = prefixes[images[batch]]
        if len(tokens) < len(prefix):
            return [prefix[len(tokens)]]
        following = followers[batch]
        if following is None:
            return list(range(vocabulary))
        # A beam that is out of the running may hold anything, and an empty list is an error.
        return following.get(tokens) or [ends[0]]

    return allowed


def _followers(phrases, ends: tuple[int, ...]) -> dict[tuple[int, ...], list[int]]:
    following: dict[tuple[int, ...], set[int]] = {}
    for phrase in phrases:
        for length, token in enumerate(phrase):
            following.setdefault(tuple(phrase[:length]), set()).add(token)
        following.setdefault(tuple(phrase), set()).update(ends)
    return {prefix: sorted(tokens) for prefix, tokens in following.items()}


def _up_to_the_end(row: list[int], ends: tuple[int, ...]) -> tuple[int, ...]:
    for place, token in enumerate(row):
        if token in ends:
            return tuple(row[: place + 1])
    return tuple(row)
