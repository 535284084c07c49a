"""Examples are a function of seed, epoch and index; pictures are as the runtime prepares them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cnnrnn.core.manifest import ImageSpec
from cnnrnn.data.augment import AugmentConfig
from cnnrnn.data.dataset import (
    IGNORED,
    CaptionDataset,
    Collate,
    Draw,
    EpochSampler,
    Example,
    QuestionVocabulary,
)
from cnnrnn.data.pictures import read_picture
from cnnrnn.data.readers import Sample
from cnnrnn.data.vocabulary import VocabularyConfig, build_tokenizer
from cnnrnn.runtime.image import fit

IMAGE = ImageSpec(16, 16, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """An opaque landscape photograph's worth of noise, and a red disc on a transparent ground."""
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "noise.png"), noise)
    disc = np.zeros((40, 40, 4), np.uint8)
    cv2.circle(disc, (20, 20), 15, (0, 0, 255, 255), -1)
    cv2.imwrite(str(tmp_path / "disc.png"), disc)
    return [
        Sample(tmp_path / "noise.png", ("some noise", "much noise here")),
        Sample(tmp_path / "disc.png", ("a disc",)),
    ]


def dataset(samples: list[Sample], **options: object) -> CaptionDataset:
    texts = [text for sample in samples for text in sample.captions]
    return CaptionDataset(samples, build_tokenizer(texts, VocabularyConfig()), IMAGE, 3, **options)  # type: ignore[arg-type]


def test_every_picture_with_every_caption(samples: list[Sample]) -> None:
    data = dataset(samples)
    tokens = [data[Draw(0, index)][1] for index in range(len(data))]
    assert len(data) == 3
    assert [len(row) for row in tokens] == [3, 3, 3]  # 'much noise here' is cut, with the end token kept
    assert all(row[-1] == 2 for row in tokens)


def test_without_augmentation_as_the_runtime_sees_it(samples: list[Sample]) -> None:
    data = dataset(samples)
    for index, sample in ((0, samples[0]), (2, samples[1])):
        pixels = data[Draw(5, index)].image
        assert np.array_equal(pixels.permute(1, 2, 0).numpy(), fit(read_picture(sample.image), IMAGE))


def test_white_background_equals_the_runtime(samples: list[Sample]) -> None:
    data = dataset(samples, augment=AugmentConfig())
    pixels = data[Draw(0, 2)].image
    expected = fit(read_picture(samples[1].image), IMAGE).astype(int)
    assert np.abs(pixels.permute(1, 2, 0).numpy().astype(int) - expected).max() <= 2


def test_random_background_is_behind_the_picture_only(samples: list[Sample]) -> None:
    data = dataset(samples, augment=AugmentConfig(background=1.0))
    first, second = data[Draw(0, 2)][0], data[Draw(1, 2)][0]
    assert torch.equal(first[:, 8, 8], torch.tensor([255, 0, 0], dtype=torch.uint8))
    assert torch.equal(second[:, 8, 8], first[:, 8, 8])
    assert not torch.equal(first[:, 0, 0], second[:, 0, 0])


def test_a_draw_depends_on_seed_epoch_and_index_alone(samples: list[Sample]) -> None:
    augment = AugmentConfig(rotation=30, scale=(0.5, 1.0), brightness=0.5, background=1.0)
    one, other = (
        dataset(samples, augment=augment, seed=4),
        dataset(samples, augment=augment, seed=4, cache=True),
    )
    torch.manual_seed(1)
    first = one[Draw(3, 0)][0]
    torch.manual_seed(2)
    other[Draw(3, 1)]
    assert torch.equal(first, other[Draw(3, 0)][0])
    assert torch.equal(first, other[Draw(3, 0)][0])
    assert not torch.equal(first, other[Draw(4, 0)][0])
    assert not torch.equal(first, dataset(samples, augment=augment, seed=5)[Draw(3, 0)][0])


def test_augmentation_leaves_the_global_generator_alone(samples: list[Sample]) -> None:
    data = dataset(samples, augment=AugmentConfig(rotation=30))
    torch.manual_seed(9)
    expected = torch.rand(3)
    torch.manual_seed(9)
    data[Draw(0, 0)]
    assert torch.equal(torch.rand(3), expected)


def test_sampler_goes_on_where_it_was() -> None:
    whole = list(EpochSampler(10, 3, seed=1, epoch=2))
    assert sorted(draw.example for batch in whole for draw in batch) == list(range(10))
    assert list(EpochSampler(10, 3, seed=1, epoch=2, first_batch=2)) == whole[2:]
    assert len(EpochSampler(10, 3, seed=1, epoch=2, first_batch=2)) == 2
    assert list(EpochSampler(10, 3, seed=1, epoch=3)) != whole


def test_collate_pads() -> None:
    image = torch.zeros(3, 2, 2, dtype=torch.uint8)
    batch = Collate(start=1, pad=0)([Example(image, [7, 8, 2]), Example(image.clone(), [2])])
    assert batch.inputs.tolist() == [[1, 7, 8], [1, 0, 0]]
    assert batch.targets.tolist() == [[7, 8, 2], [2, IGNORED, IGNORED]]
    assert batch.images.shape == (2, 3, 2, 2)
    assert batch.rows == batch.asked == ()


def test_one_tensor_is_one_picture() -> None:
    image, other = torch.zeros(2, 3, 2, 2, dtype=torch.uint8)
    batch = Collate(start=1, pad=0)([Example(image, [7]), Example(other, [8]), Example(image, [9])])
    assert batch.images.shape == (2, 3, 2, 2)
    assert batch.rows[0].tolist() == [0, 1, 0]


def test_the_captions_of_a_picture_share_a_drawing_of_it(samples: list[Sample]) -> None:
    data = dataset(samples, augment=AugmentConfig(rotation=90), seed=4, share_pictures=True)
    first, second, disc = data.__getitems__([Draw(0, 0), Draw(0, 1), Draw(0, 2)])
    assert first.image is second.image is not disc.image
    assert [first.tokens, second.tokens] == [data[Draw(0, 0)].tokens, data[Draw(0, 1)].tokens]
    assert not torch.equal(first.image, data.__getitems__([Draw(1, 0)])[0].image)
    drawn = [
        draw.example for batch in EpochSampler(3, 2, seed=0, epoch=0, groups=[[0, 1], [2]]) for draw in batch
    ]
    assert drawn in ([0, 1, 2], [2, 0, 1])


def test_questions_are_padded_beside_their_lengths() -> None:
    tokenizer = build_tokenizer(["what is it", "is it red"], VocabularyConfig())
    questions = QuestionVocabulary(tokenizer, 3)
    sample = Sample(Path("a.png"), ("red",), "What is it?")
    data = CaptionDataset([sample], tokenizer, IMAGE, 3, questions=questions)
    assert tokenizer.decode(data.question(0)) == "what is it"
    assert len(questions.encode("is it red is it")) == 3
    assert questions.encode("never heard") == [3, 3]
    assert questions.encode("!?") == [3]
    padded, lengths = Collate(1, 0, questions).asked([data.question(0), [5]])
    assert padded.tolist() == [list(data.question(0)), [5, 0, 0]]
    assert lengths.tolist() == [3, 1]


@pytest.mark.parametrize("options", [{"background": 2}, {"scale": (0, 1)}, {"scale": (2, 1)}, {"hue": 0.7}])
def test_augmentation_out_of_range(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"augment {next(iter(options))}"):
        AugmentConfig(**options)  # type: ignore[arg-type]
