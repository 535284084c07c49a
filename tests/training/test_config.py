"""The configuration file: what it may say, and the sentence for what it may not."""

import json
from pathlib import Path
from typing import Any

import pytest

from cnnrnn.core.errors import ConfigError
from cnnrnn.data.readers import Source
from cnnrnn.training import TrainConfig

MINIMAL = 'name = "x"\noutput = "run"\n[data]\ntrain = ["pictures"]\n'


def test_relative_paths_are_the_files_own(tmp_path: Path) -> None:
    (tmp_path / "train.toml").write_text(
        MINIMAL + 'images = ["val2017"]\n[model]\npretrained = "weights.pth"\n'
    )
    config = TrainConfig.load(tmp_path / "train.toml")
    assert config.data.train == (str(tmp_path / "pictures"),)
    assert config.data.images == (str(tmp_path / "val2017"),)
    assert config.output == str(tmp_path / "run")
    assert config.model.pretrained == str(tmp_path / "weights.pth")


def test_a_source_may_be_a_table_that_says_more(tmp_path: Path) -> None:
    (tmp_path / "train.toml").write_text(
        'name = "x"\noutput = "run"\n[data]\ntrain = ["pictures", '
        '{ path = "dataset_coco.json", split = ["train", "restval"], images = ["coco"] }]\n'
        '[[data.validation]]\npath = "dataset_coco.json"\nsplit = "val"\n'
    )
    config = TrainConfig.load(tmp_path / "train.toml")
    assert config.data.train[1] == Source(
        str(tmp_path / "dataset_coco.json"), split=("train", "restval"), images=(str(tmp_path / "coco"),)
    )
    assert config.data.validation == (Source(str(tmp_path / "dataset_coco.json"), split=("val",)),)
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_survives_a_round_trip(config: TrainConfig) -> None:
    assert TrainConfig.from_dict(config.to_dict()) == config


def test_the_shipped_recipe_is_valid() -> None:
    recipe = Path(__file__).resolve().parents[2] / "examples" / "emoji" / "emoji.toml"
    assert TrainConfig.load(recipe).model.encoder == "efficientnet_lite0"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = ", "is not TOML"),
        ('name = "x"\n', "output"),
        ('name = "x"\noutput = "run"\n', "data train = []"),
        (MINIMAL + "speed = 3\n", "[data] has the unknown key 'speed'"),
        (MINIMAL + 'images = "val2017"\n', "data images = 'val2017' must be a list of paths"),
        (MINIMAL + "validation_share = 1.5\n", "validation_share = 1.5"),
        (MINIMAL + "skip_share = 1\n", "data skip_share = 1 must be in [0, 1)"),
        (MINIMAL + 'check_pictures = "all"\n', "check_pictures = 'all' must be one of header, decode, off"),
        (MINIMAL + "max_length = 1\n", "data max_length = 1 must be 2 or more"),
        (MINIMAL + "test = [{ split = 3 }]\n", "lacks the key 'path'"),
        (MINIMAL + "[training]\nepochs = 0\n", "epochs = 0"),
        (MINIMAL + "[training]\nlearning_rate = -1.0\n", "learning_rate = -1.0"),
        (
            MINIMAL + '[training]\nschedule = "linear"\n',
            "schedule = 'linear' must be one of one_cycle, constant",
        ),
        (MINIMAL + "[training]\nlabel_smoothing = 1.0\n", "label_smoothing = 1.0"),
        (MINIMAL + "prefetch = 0\n", "data prefetch = 0 must be a whole number, 1 or more"),
        (MINIMAL + "[training]\naccumulate = 0\n", "accumulate = 0 must be a whole number, 1 or more"),
        (MINIMAL + "[training]\nlearning_rate = inf\n", "learning_rate = inf must be a number, 0 or more"),
        (MINIMAL + "[training]\nema = 1.0\n", "ema = 1.0 is a decay, from 0 (off) to below 1"),
        (MINIMAL + "[training]\nscheduled_sampling = 1.1\n", "scheduled_sampling = 1.1 is a probability"),
        (MINIMAL + '[training]\ncompile = "yes"\n', "compile = 'yes' must be true or false"),
        (
            MINIMAL + "[training]\nepochs = 3\nencoder_from_epoch = 4\n",
            "encoder_from_epoch = 4 and epochs = 3: the encoder would never learn",
        ),
        (
            MINIMAL + '[training]\nmetric = "bleu"\n',
            "metric = 'bleu' must be one of loss, exact_match, cider",
        ),
        (MINIMAL + '[scst]\nbaseline = "worst"\n', "scst baseline = 'worst' must be one of greedy, mean"),
        (MINIMAL + '[scst]\nbaseline = "mean"\nsamples = 1\n', "set samples to 2 or more"),
        (MINIMAL + "[scst]\nepochs = -1\n", "scst epochs = -1 must be a whole number, 0 or more"),
        (MINIMAL + '[model]\ncell = "rnn"\n', "cell = 'rnn' must be one of lstm, gru"),
        (MINIMAL + "[augment]\nblur = 2\n", "blur = 2 must be from 0 to 1"),
        ('output = "run"\n[data]\ntrain = ["pictures"]\n', "the top of the file lacks the key 'name'"),
        (MINIMAL + "[trainning]\n", "has the unknown key 'trainning'; did you mean 'training'?"),
        ('model = 3\nname = "x"\noutput = "run"\n', "[model] must be a table, not 3"),
    ],
)
def test_refused_with_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "train.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        TrainConfig.load(tmp_path / "train.toml")
    assert said in str(caught.value)


def test_the_recipe_for_coco_is_valid(tmp_path: Path) -> None:
    """It stands in the document in full."""
    document = Path(__file__).resolve().parents[2] / "docs" / "training.md"
    section = document.read_text(encoding="utf-8").partition("\n## COCO\n")[2]
    (tmp_path / "coco.toml").write_text(section.partition("```toml\n")[2].partition("```")[0])
    config = TrainConfig.load(tmp_path / "coco.toml")
    assert config.model.encoder == "resnet101"
    assert config.training.encoder_from_epoch > 1
    assert config.scst.epochs > 0
    assert [source.split for source in config.data.train if isinstance(source, Source)] == [
        ("train", "restval")
    ]


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        TrainConfig.load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("section", "key", "value", "said"),
    [
        ("image", "height", "64", r"\[image\] height = '64' must be a whole number"),
        ("image", "mean", "x", r"\[image\] mean = 'x' must be a list of 3, each a number"),
        ("image", "fill", [300, 0, 0], r"\[image\].fill\[0\] is 300; an integer from 0 to 255"),
        ("image", "height", 5000, r"\[image\].height is 5000; an integer from 1 to 4096"),
        ("data", "validation_share", "3", r"\[data\] validation_share = '3' must be a number"),
        ("data", "cache", "3", r"\[data\] cache = '3' must be true or false"),
        ("augment", "rotation", "3", r"\[augment\] rotation = '3' must be a number"),
        ("augment", "scale", 1.0, r"\[augment\] scale = 1.0 must be a list of 2, each a number"),
        ("training", "ema", "0.9", r"\[training\] ema = '0.9' must be a number"),
        ("model", "gate", "3", r"\[model\] gate = '3' must be true or false"),
        ("vocabulary", "lowercase", 1, r"\[vocabulary\] lowercase = 1 must be true or false"),
        ("search", "beams", "3", r"\[search\] beams = '3' must be a whole number"),
        ("search", "beams", 9, r"\[search\].beams is 9; an integer from 1 to 5"),
        ("", "seed", "3", "the top of the file seed = '3' must be a whole number"),
        ("", "name", 3, "the top of the file name = 3 must be text, in quotes"),
        ("", "name", "a b", "name at the top of the file is 'a b'; letters, digits"),
    ],
)
def test_a_value_of_another_type_is_named(section: str, key: str, value: object, said: str) -> None:
    values: dict[str, Any] = {"name": "x", "output": "y", "data": {"train": ["z"]}}
    values["image"] = {"height": 64, "width": 64}
    (values.setdefault(section, {}) if section else values)[key] = value
    with pytest.raises(ConfigError, match=said):
        TrainConfig.from_dict(values)
