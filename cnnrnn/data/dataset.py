"""Pictures and captions as tensors, each draw a function of the seed, the epoch and the example alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from cnnrnn.core.errors import DataError
from cnnrnn.core.extras import require_cv2
from cnnrnn.core.manifest import ImageSpec
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.data.augment import AugmentConfig, augmentation
from cnnrnn.data.pictures import read_fitted, read_picture
from cnnrnn.data.readers import GeneratedPicture, PictureFile, Sample
from cnnrnn.data.readers.sample import StudyFiles
from cnnrnn.runtime.image import fit

IGNORED = -100


class Draw(NamedTuple):
    """Which example, in which epoch: what a sampler gives and the data set is indexed by."""

    epoch: int
    example: int


class Batch(NamedTuple):
    """Padded examples. ``images`` (B, 3, H, W) uint8, ``inputs`` and ``targets`` (B, T) int64.

    ``inputs`` start with the start token, or that of the caption's language, and are padded with the pad
    token; ``targets`` end with the end token and are padded with -100, which
    :func:`torch.nn.functional.cross_entropy` ignores. ``asked`` is empty, or the questions:
    (B, Q) token ids, padded, and (B) lengths, int64. ``rows`` is empty, or, where examples share
    pictures, one tensor (B) int64: which of the ``images`` (I, 3, H, W) each is about.
    """

    images: Tensor
    inputs: Tensor
    targets: Tensor
    asked: tuple[Tensor, ...] = ()
    rows: tuple[Tensor, ...] = ()


class Example(NamedTuple):
    """One picture (3, H, W) uint8, the token ids of its caption, of its question if there is one, and the
    token that stands before the caption where it is not the start token."""

    image: Tensor
    tokens: list[int]
    question: Sequence[int] = ()
    start: int | None = None


@dataclass(frozen=True)
class QuestionVocabulary:
    """What questions are read with: their tokenizer, and Q, the most tokens of one."""

    tokenizer: Tokenizer
    max_length: int

    def encode(self, question: str) -> list[int]:
        """Token ids, at most Q; an unknown word alone where nothing is left of it."""
        tokens = self.tokenizer.encode(question) or [self.tokenizer.unknown or self.tokenizer.pad]
        return tokens[: self.max_length]


class CaptionDataset(Dataset[Example]):
    """Every (picture, caption) pair as a (3, H, W) uint8 tensor and token ids.

    Those of a generator are drawn anew for each draw's epoch, their captions too.

    Args:
        samples: pictures with their captions.
        tokenizer: the vocabulary.
        image: the size that pictures are fitted to.
        max_length: longest caption in tokens, the end token included; longer ones are cut.
        augment: what changes from epoch to epoch, or None for pictures exactly as the runtime sees them.
        seed: what the random changes are drawn from, with the epoch and the example.
        cache: keep fitted pictures in memory (4 bytes a pixel).
        questions: how the samples' questions are read; None where they have none.
        share_pictures: the examples of one picture in a batch are about one drawing of it.

    Attributes:
        cut: how many captions are longer than ``max_length``.
        unspoken: captions without a token, such as ``"!!!"`` where punctuation is dropped; they are left out.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        tokenizer: Tokenizer,
        image: ImageSpec,
        max_length: int,
        *,
        augment: AugmentConfig | None = None,
        seed: int = 0,
        cache: bool = False,
        questions: QuestionVocabulary | None = None,
        share_pictures: bool = False,
    ) -> None:
        self.samples = samples
        self._tokenizer, self._max_length = tokenizer, max_length
        self.share_pictures = share_pictures
        self.questions = questions
        self.image = image
        self.seed = seed
        self.cut = 0
        self.unspoken: list[str] = []
        self._pairs: list[int] = []
        self._tokens: list[list[int]] = []
        self._languages: list[str] = []
        self._starts = tokenizer.languages
        for number, place, text in (
            (number, place, text)
            for number, sample in enumerate(samples)
            for place, text in enumerate(sample.captions)
        ):
            tokens = tokenizer.encode(text)
            if not tokens:
                self.unspoken.append(text)
                continue
            self.cut += len(tokens) >= max_length
            self._pairs.append(number)
            self._languages.append(samples[number].languages[place] if samples[number].languages else "")
            self._tokens.append(self._cut(tokens))
        self._augment = augmentation(augment) if augment else None
        self._cache: dict[PictureFile, Tensor] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, draw: Draw) -> Example:
        if isinstance(picture := self._picture(draw), GeneratedPicture):
            return self._generated(draw, picture)
        return self._example(draw, self._drawn(draw))

    def _drawn(self, draw: Draw) -> Tensor:
        return self._augmented(draw, self.pixels(self._pairs[draw.example]))

    def _augmented(self, draw: Draw, pixels: Tensor) -> Tensor:
        if self._augment is not None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(mix_seed(self.seed, draw.epoch, draw.example))
                pixels = self._augment(pixels)
        return pixels

    def _generated(self, draw: Draw, picture: GeneratedPicture) -> Example:
        """The picture and the caption of the draw's own epoch."""
        pixels, caption = picture.source.draw(draw.epoch, picture.index)
        tokens = self._tokenizer.encode(caption)
        if not tokens:
            raise DataError(
                f"{picture} has in epoch {draw.epoch} the caption {caption!r}, of which the vocabulary knows "
                "nothing; let the generator give it another, or see [vocabulary]"
            )
        array = fit(pixels(), self.image)
        if self._augment is not None:  # which lays what is transparent onto a background
            array = np.concatenate([array, np.full_like(array[..., :1], 255)], axis=2)
        fitted = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))
        return Example(self._augmented(draw, fitted), self._cut(tokens))

    def _cut(self, tokens: list[int]) -> list[int]:
        return [*tokens[: self._max_length - 1], self._tokenizer.end]

    def __getitems__(self, draws: Sequence[Draw]) -> list[Example]:
        """A batch's examples. Where `share_pictures` is set, those of one picture have one tensor."""
        if not self.share_pictures:
            return [self[draw] for draw in draws]
        drawn: dict[PictureFile, Tensor] = {}
        examples: list[Example] = []
        for draw in draws:
            picture = self._picture(draw)
            if isinstance(picture, GeneratedPicture):
                examples.append(self._generated(draw, picture))
                continue
            if picture not in drawn:
                drawn[picture] = self._drawn(draw)
            examples.append(self._example(draw, drawn[picture]))
        return examples

    def _picture(self, draw: Draw) -> PictureFile:
        return self.samples[self._pairs[draw.example]].image

    def _example(self, draw: Draw, pixels: Tensor) -> Example:
        return Example(
            pixels,
            self._tokens[draw.example],
            self.question(self._pairs[draw.example]),
            self._starts.get(self._languages[draw.example]),
        )

    def question(self, number: int) -> Sequence[int]:
        """The token ids of a sample's question; empty where questions are not read."""
        return self.questions.encode(self.samples[number].question) if self.questions else ()

    def sample_number(self, example: int) -> int:
        """Which of ``samples`` an example's picture is."""
        return self._pairs[example]

    def language(self, example: int) -> str:
        """The code of an example's language; empty where captions have none."""
        return self._languages[example]

    def alternatives(self, example: int) -> tuple[str, ...]:
        """All captions of an example's picture, of those in its language where they have one."""
        sample, code = self.samples[self._pairs[example]], self._languages[example]
        if not code:
            return sample.captions
        pairs = zip(sample.captions, sample.languages, strict=True)
        return tuple(text for text, language in pairs if language == code)

    def references(self) -> list[list[list[int]]]:
        """Of each sample its captions as token ids, cut as they are trained on, with their end token."""
        found: list[list[list[int]]] = [[] for _ in self.samples]
        for number, tokens in zip(self._pairs, self._tokens, strict=True):
            found[number].append(tokens)
        return found

    def pixels(self, number: int) -> Tensor:
        """The fitted picture of a sample, (3, H, W) uint8; premultiplied RGBA where it is to be augmented."""
        picture = self.samples[number].image
        if self._cache is not None and picture in self._cache:
            return self._cache[picture]
        array = read_premultiplied(picture, self.image) if self._augment else read_fitted(picture, self.image)
        pixels = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))
        if self._cache is not None:
            self._cache[picture] = pixels
        return pixels


def read_premultiplied(picture: PictureFile, image: ImageSpec) -> NDArray[np.uint8]:
    """A picture fitted to (H, W, 4) uint8 RGBA, colours multiplied by alpha; borders are transparent.

    Raises:
        ImageError: the file is not a picture or outside the runtime's limits.
    """
    if isinstance(picture, StudyFiles) or image.views > 1:
        views = read_fitted(picture, image)
        return np.concatenate([views, np.full_like(views[..., :1], 255)], axis=2)
    cv2 = require_cv2()
    opaque = read_picture(picture)
    raw = cv2.imdecode(np.frombuffer(picture.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    clear = replace(image, fill=(0, 0, 0))
    if raw is None or raw.ndim != 3 or raw.shape[2] != 4 or raw.dtype != np.uint8:
        alpha = np.full_like(opaque, 255)
        colour = opaque
    else:
        alpha = np.repeat(raw[..., 3:], 3, axis=2)
        rgb = cv2.cvtColor(raw, cv2.COLOR_BGRA2RGB)
        colour = np.round(rgb * (alpha / np.float32(255))).astype(np.uint8)
    return np.concatenate([fit(colour, clear), fit(alpha, clear)[..., :1]], axis=2)


class EpochSampler(Sampler[list[Draw]]):
    """Batches of one epoch in an order drawn from (seed, epoch), from a given batch on.

    Because the order is a function of those two numbers, a run that was killed goes on with the next batch.
    With ``groups``, the examples of each are drawn one after the other.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        *,
        seed: int,
        epoch: int,
        first_batch: int = 0,
        groups: Sequence[Sequence[int]] | None = None,
    ) -> None:
        self.size, self.batch_size, self.groups = size, batch_size, groups
        self.seed, self.epoch, self.first_batch = seed, epoch, first_batch

    def __len__(self) -> int:
        return -(-self.size // self.batch_size) - self.first_batch

    def __iter__(self) -> Iterator[list[Draw]]:
        generator = torch.Generator().manual_seed(mix_seed(self.seed, self.epoch))
        if self.groups is None:
            order = torch.randperm(self.size, generator=generator).tolist()
        else:
            shuffled = torch.randperm(len(self.groups), generator=generator).tolist()
            order = [example for group in shuffled for example in self.groups[group]]
        for start in range(self.first_batch * self.batch_size, self.size, self.batch_size):
            yield [Draw(self.epoch, index) for index in order[start : start + self.batch_size]]


def mix_seed(*numbers: int) -> int:
    """One 63-bit seed from several numbers, by numpy's documented :class:`numpy.random.SeedSequence`."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


class Collate:
    """Pads a list of examples to a :class:`Batch`.

    Args:
        start, pad: tokens of captions.
        questions: where examples have questions.
    """

    def __init__(self, start: int, pad: int, questions: QuestionVocabulary | None = None) -> None:
        self.start, self.pad, self.questions = start, pad, questions

    def __call__(self, examples: list[Example]) -> Batch:
        length = max(len(example.tokens) for example in examples)
        inputs = torch.full((len(examples), length), self.pad)
        targets = torch.full((len(examples), length), IGNORED)
        for row, (_, tokens, _, start) in enumerate(examples):
            inputs[row, 0] = self.start if start is None else start
            inputs[row, 1 : len(tokens)] = torch.tensor(tokens[:-1], dtype=torch.int64)
            targets[row, : len(tokens)] = torch.tensor(tokens)
        asked = self.asked([example.question for example in examples])
        images = {id(example.image): example.image for example in examples}
        rows: tuple[Tensor, ...] = ()
        if len(images) < len(examples):
            places = {identity: place for place, identity in enumerate(images)}
            rows = (torch.tensor([places[id(example.image)] for example in examples]),)
        return Batch(torch.stack(list(images.values())), inputs, targets, asked, rows)

    def asked(self, questions: Sequence[Sequence[int]]) -> tuple[Tensor, ...]:
        """What :class:`Batch` has of these questions; (B, Q) with the longest one's Q."""
        if self.questions is None:
            return ()
        lengths = torch.tensor([len(question) for question in questions])
        padded = torch.full((len(questions), int(lengths.max())), self.questions.tokenizer.pad)
        for row, question in enumerate(questions):
            padded[row, : len(question)] = torch.tensor(question)
        return padded, lengths
