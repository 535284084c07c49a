"""Pictures that a function draws: what it may give, and what a draw depends on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from cnnrnn.core.errors import ConfigError, DataError
from cnnrnn.core.manifest import ImageSpec
from cnnrnn.data.augment import AugmentConfig
from cnnrnn.data.dataset import CaptionDataset, Collate, Draw
from cnnrnn.data.leaks import refuse_leaks
from cnnrnn.data.pictures import check_pictures, read_picture
from cnnrnn.data.readers import Generated, GeneratedPicture, Sample, read_captions, read_source, source_of
from cnnrnn.data.readers.generated import _module
from cnnrnn.data.vocabulary import VocabularyConfig, build_tokenizer
from cnnrnn.training import TrainConfig

IMAGE = ImageSpec(8, 12, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "stretch")

SHADES = """
import numpy as np

def shades(index, random, side=8):
    shade = int(random.integers(0, 250))

    def picture():
        return np.full((side, side), shade, np.uint8)

    return picture, f"shade {shade}"


class Counted:
    made = 0

    def __init__(self, word):
        Counted.made += 1
        self.word = word

    def __call__(self, index, random):
        return np.full((4, 6, 3), index, np.uint8), f"{self.word} {index}"


def float_picture(index, random):
    return np.zeros((4, 4)), "dark"


def no_text(index, random):
    return np.zeros((4, 4), np.uint8), "  "


def alone(index, random):
    return np.zeros((4, 4), np.uint8)


def fails(index, random):
    return 1 / index


def alpha(index, random):
    return np.zeros((4, 4, 4), np.uint8), "dark"


def late(index, random):
    first = random.integers(0, 1000) == np.random.default_rng((0, 0, index)).integers(0, 1000)
    return np.zeros((4, 4), np.uint8), "shade" if first else "!!!"


nothing = None
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shades.py"
    path.write_text(SHADES, encoding="utf-8")
    return path


def dataset(samples: list[Sample], **options: Any) -> CaptionDataset:
    words = [f"shade {number}" for number in range(250)]
    return CaptionDataset(samples, build_tokenizer(words, VocabularyConfig()), IMAGE, 3, **options)


def test_a_draw_is_a_function_of_seed_epoch_and_index(file: Path) -> None:
    source = Generated(f"{file}:shades", 4)
    texts = {
        (seed, epoch, index): replace(source, seed=seed).draw(epoch, index)[1]
        for seed in (0, 1)
        for epoch in (0, 1)
        for index in range(4)
    }
    assert len(set(texts.values())) > 12
    assert texts[0, 1, 2] == source.draw(1, 2)[1]


def test_captions_are_read_and_one_picture_drawn(file: Path) -> None:
    source = Generated(f"{file}:shades", 5, options={"side": 3})
    samples = read_captions(source)
    assert [sample.captions[0] for sample in samples] == [source.draw(0, index)[1] for index in range(5)]
    assert read_picture(samples[2].image).shape == (3, 3, 3)
    assert str(samples[2].image) == "shades.py:shades[2]"


def test_a_class_is_made_once(file: Path) -> None:
    source = Generated(f"{file}:Counted", 3, options={"word": "number"})
    assert [source.draw(0, index)[1] for index in (0, 1, 2)] == ["number 0", "number 1", "number 2"]
    assert _module(file).Counted.made == 1


def test_the_data_set_draws_anew_in_every_epoch_caption_and_picture(file: Path) -> None:
    data = dataset(read_captions(Generated(f"{file}:shades", 6)))
    decode = data._tokenizer.decode
    seen = set()
    for epoch in (0, 1, 2):
        for index in range(6):
            example = data[Draw(epoch, index)]
            shade = int(decode(example.tokens).split()[1])
            assert torch.equal(example.image, torch.full((3, 8, 12), shade, dtype=torch.uint8))
            seen.add(shade)
    assert len(seen) > 10
    assert data.references()[3] == [data[Draw(0, 3)].tokens]


@pytest.mark.parametrize("workers", [0, 2])
def test_processes_draw_what_one_draws(file: Path, workers: int) -> None:
    options: dict[str, Any] = {"augment": AugmentConfig(brightness=0.5), "share_pictures": True}
    data = dataset(read_captions(Generated(f"{file}:shades", 6)), **options)
    draws = [[Draw(1, 5), Draw(1, 0)], [Draw(2, 5), Draw(2, 0)]]
    loader = DataLoader(data, batch_sampler=draws, num_workers=workers, collate_fn=Collate(1, 0))  # type: ignore[arg-type]
    images = torch.cat([batch.images for batch in loader])
    assert torch.equal(images, torch.stack([data[draw].image for batch in draws for draw in batch]))
    assert not torch.equal(images[:2], images[2:])


def test_drawn_pictures_stand_beside_files(file: Path, tmp_path: Path) -> None:
    drawn = read_source(Generated(f"{file}:shades", 3))
    assert check_pictures(drawn, "decode") is drawn
    refuse_leaks(drawn.samples, drawn.samples, "validation")  # they are no files
    picture = drawn.samples[1].image
    assert isinstance(picture, GeneratedPicture)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.name == "shades-1.png"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("float_picture", r"float_picture, asked for index 0, gave the picture an array \(4, 4\) of float64"),
        ("no_text", "gave the caption '  ', which has to be a text"),
        ("alone", r"gave an array \(4, 4\) of uint8 in the place of \(picture, caption\)"),
        ("fails", r"fails, asked for index 0, failed with ZeroDivisionError: .* \(shades.py, line 37\)"),
        ("alpha", r"a picture of the shape \(4, 4, 4\), which has to be \(H, W, 3\)"),
    ],
)
def test_what_it_gave_is_told(file: Path, name: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_captions(Generated(f"{file}:{name}", 2))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"generator": "shades.py", "count": 1}, "must be a file and what to call in it"),
        ({"generator": "shades.py:shades", "count": 0}, "count = 0 must be from 1"),
        ({"generator": "shades.py:shades", "count": 1, "seed": -1}, "seed = -1 must be from 0"),
        (
            {"generator": "shades.py:shades", "count": 1, "side": 3},
            "unknown key 'side'.* belongs into options",
        ),
        ({"generator": "shades.py:shades"}, "lacks the key 'count'"),
    ],
)
def test_refused_before_any_work(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        source_of(values)


@pytest.mark.parametrize(
    ("generator", "told"),
    [
        ("absent.py:shades", r"there is no .*absent.py to generate pictures with"),
        ("shades.py:absent", "has no function or class 'absent'"),
        ("shades.py:nothing", "has no function or class 'nothing'"),
        ("broken.py:shades", "broken.py cannot be loaded: NameError"),
        ("shades.py:Counted", r"Counted\(\*\*\{\}\) failed with TypeError"),
    ],
)
def test_what_cannot_be_loaded(file: Path, generator: str, told: str) -> None:
    file.with_name("broken.py").write_text("undefined\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=told):
        read_captions(Generated(str(file.parent / generator), 1))


def test_in_a_configuration(file: Path) -> None:
    table = {"generator": "shades.py:shades", "count": 4, "options": {"side": 2}}
    values: dict[str, Any] = {"name": "drawn", "output": "run", "data": {"train": [table]}}
    config = TrainConfig.from_dict(values).relative_to(file.parent)
    (source,) = config.data.train
    assert source == Generated(f"{file}:shades", 4, options={"side": 2})
    assert TrainConfig.from_dict(config.to_dict()) == config
    with pytest.raises(ConfigError, match=r"shades\.py:shades draws others in every epoch"):
        TrainConfig.from_dict({**values, "scst": {"epochs": 1}})


def test_a_caption_of_a_later_epoch_that_has_no_token_is_told(file: Path) -> None:
    tokenizer = build_tokenizer(["shade"], VocabularyConfig(punctuation="drop"))
    data = CaptionDataset(read_captions(Generated(f"{file}:late", 1)), tokenizer, IMAGE, 3)
    assert len(data[Draw(0, 0)].tokens) == 2
    with pytest.raises(DataError, match=r"late\[0\] has in epoch 3 the caption '!!!'"):
        data[Draw(3, 0)]
