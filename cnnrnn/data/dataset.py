"""Pictures and captions as tensors, each draw a function of the seed, the epoch and the example alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from cnnrnn.core.extras import require_cv2
from cnnrnn.core.manifest import ImageSpec
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.data.augment import AugmentConfig, augmentation
from cnnrnn.data.pictures import read_picture
from cnnrnn.data.readers import PictureFile, Sample
from cnnrnn.runtime.image import fit

IGNORED = -100


class Draw(NamedTuple):
    """Which example, in which epoch: what a sampler gives and the data set is indexed by."""

    epoch: int
    example: int


class Batch(NamedTuple):
    """Padded examples. ``images`` (B, 3, H, W) uint8, ``inputs`` and ``targets`` (B, T) int64.

    ``inputs`` start with the start token and are padded with the pad token; ``targets`` end with the end
    token and are padded with -100, which :func:`torch.nn.functional.cross_entropy` ignores.
    """

    images: Tensor
    inputs: Tensor
    targets: Tensor


class CaptionDataset(Dataset[tuple[Tensor, list[int]]]):
    """Every (picture, caption) pair as a (3, H, W) uint8 tensor and token ids.

    Args:
        samples: pictures with their captions.
        tokenizer: the vocabulary.
        image: the size that pictures are fitted to.
        max_length: longest caption in tokens, the end token included; longer ones are cut.
        augment: what changes from epoch to epoch, or None for pictures exactly as the runtime sees them.
        seed: what the random changes are drawn from, with the epoch and the example.
        cache: keep fitted pictures in memory (4 bytes a pixel).

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
    ) -> None:
        self.samples = samples
        self.image = image
        self.seed = seed
        self.cut = 0
        self.unspoken: list[str] = []
        self._pairs: list[int] = []
        self._tokens: list[list[int]] = []
        for number, text in (
            (number, text) for number, sample in enumerate(samples) for text in sample.captions
        ):
            tokens = tokenizer.encode(text)
            if not tokens:
                self.unspoken.append(text)
                continue
            self.cut += len(tokens) >= max_length
            self._pairs.append(number)
            self._tokens.append([*tokens[: max_length - 1], tokenizer.end])
        self._augment = augmentation(augment) if augment else None
        self._cache: dict[int, Tensor] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, draw: Draw) -> tuple[Tensor, list[int]]:
        pixels = self.pixels(self._pairs[draw.example])
        if self._augment is not None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(mix_seed(self.seed, draw.epoch, draw.example))
                pixels = self._augment(pixels)
        return pixels, self._tokens[draw.example]

    def sample_number(self, example: int) -> int:
        """Which of ``samples`` an example's picture is."""
        return self._pairs[example]

    def references(self) -> list[list[list[int]]]:
        """Of each sample its captions as token ids, cut as they are trained on, with their end token."""
        found: list[list[list[int]]] = [[] for _ in self.samples]
        for number, tokens in zip(self._pairs, self._tokens, strict=True):
            found[number].append(tokens)
        return found

    def pixels(self, number: int) -> Tensor:
        """The fitted picture of a sample, (3, H, W) uint8; premultiplied RGBA where it is to be augmented."""
        if self._cache is not None and number in self._cache:
            return self._cache[number]
        picture = self.samples[number].image
        array = (
            read_premultiplied(picture, self.image)
            if self._augment
            else fit(read_picture(picture), self.image)
        )
        pixels = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))
        if self._cache is not None:
            self._cache[number] = pixels
        return pixels


def read_premultiplied(picture: PictureFile, image: ImageSpec) -> NDArray[np.uint8]:
    """A picture fitted to (H, W, 4) uint8 RGBA, colours multiplied by alpha; borders are transparent.

    Raises:
        ImageError: the file is not a picture or outside the runtime's limits.
    """
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
    """

    def __init__(self, size: int, batch_size: int, *, seed: int, epoch: int, first_batch: int = 0) -> None:
        self.size, self.batch_size = size, batch_size
        self.seed, self.epoch, self.first_batch = seed, epoch, first_batch

    def __len__(self) -> int:
        return -(-self.size // self.batch_size) - self.first_batch

    def __iter__(self) -> Iterator[list[Draw]]:
        generator = torch.Generator().manual_seed(mix_seed(self.seed, self.epoch))
        order = torch.randperm(self.size, generator=generator).tolist()
        for start in range(self.first_batch * self.batch_size, self.size, self.batch_size):
            yield [Draw(self.epoch, index) for index in order[start : start + self.batch_size]]


def mix_seed(*numbers: int) -> int:
    """One 63-bit seed from several numbers, by numpy's documented :class:`numpy.random.SeedSequence`."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


class Collate:
    """Pads a list of examples to a :class:`Batch`."""

    def __init__(self, start: int, pad: int) -> None:
        self.start, self.pad = start, pad

    def __call__(self, examples: list[tuple[Tensor, list[int]]]) -> Batch:
        length = max(len(tokens) for _, tokens in examples)
        inputs = torch.full((len(examples), length), self.pad)
        targets = torch.full((len(examples), length), IGNORED)
        for row, (_, tokens) in enumerate(examples):
            inputs[row, 0] = self.start
            inputs[row, 1 : len(tokens)] = torch.tensor(tokens[:-1], dtype=torch.int64)
            targets[row, : len(tokens)] = torch.tensor(tokens)
        return Batch(torch.stack([image for image, _ in examples]), inputs, targets)
