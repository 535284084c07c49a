"""A key map makes somebody's own state dict a model of ours, or the textbook's, that says the same."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import cnnrnn
from cnnrnn.core.errors import CheckpointError, ConfigError, OptionsError
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.export.imports import ImportOptions, import_checkpoint, load_checkpoint
from cnnrnn.export.imports.keyed import IMAGE, KeyMap
from cnnrnn.models import Captioner, ModelConfig
from tests.export.imports.decoding import sampled
from tests.export.imports.keyed_programs import KERAS_LIKE, LONGEST, PLAIN, START, WORDS, KerasLike, Textbook
from tests.export.imports.trunks import SIDE, normalised, write_pictures


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., ImportOptions]:
    """Writes a state dict, a key map and the words."""

    def written(state: Any, keys: str, words: Any = WORDS) -> ImportOptions:
        torch.save(state, tmp_path / "model.pth")
        (tmp_path / "keys.toml").write_text(keys)
        (tmp_path / "words.json").write_text(json.dumps(words))
        return ImportOptions(vocabulary=tmp_path / "words.json", keys=tmp_path / "keys.toml")

    return written


def test_gates_in_another_order_columns_sums_and_transposes(
    write: Callable[..., ImportOptions], tmp_path: Path
) -> None:
    """Through the export, with a start token that was the end token, and weights of half the width."""
    network = KerasLike().half().float().eval()
    state = {f"_orig_mod.{name}": value.half() for name, value in network.state_dict().items()}
    options = write({**state, "_orig_mod.step": torch.tensor(7)}, KERAS_LIKE)
    paths = write_pictures(tmp_path / "pictures", 16)
    report = import_checkpoint(
        tmp_path / "model.pth",
        tmp_path / "bundle",
        "keys",
        options=options,
        pictures=tmp_path / "pictures",
        least_pictures=16,
    )
    assert report.passed
    wanted = [network.sample(image) for image in normalised(paths)]
    assert len({tuple(caption) for caption in wanted}) > 4, "captions that are all the same prove nothing"
    with cnnrnn.load(tmp_path / "bundle") as captioner:
        assert [list(result.best.tokens) for result in captioner(paths, beams=1)] == wanted
        assert captioner(paths[0]).alignment_grid == (3, 3)


def test_the_textbooks_captioner(write: Callable[..., ImportOptions], tmp_path: Path) -> None:
    network = Textbook()
    options = write(network.state_dict(), PLAIN)
    imported = load_checkpoint(tmp_path / "model.pth", "keys", options)
    images = normalised(write_pictures(tmp_path / "pictures", 16))
    wanted = [network.sample(image) for image in images]
    assert len({tuple(caption) for caption in wanted}) > 4, "captions that are all the same prove nothing"
    assert sampled(imported, images, LONGEST) == wanted
    assert imported.tokenizer.tokens([11, 12]) == ["<end>", "<start>"]


def test_our_own_names_need_no_rule(write: Callable[..., ImportOptions], tmp_path: Path) -> None:
    config = {"encoder": "squeezenet1_1", "hidden": 16, "embedding": 10, "tied": True, "attention": "none"}
    torch.manual_seed(0)
    network = Captioner(ModelConfig.from_dict(config), len(WORDS)).eval()
    table = "\n".join(f"{name} = {json.dumps(value)}" for name, value in config.items())
    keys = f'[model]\n{table}\n[vocabulary]\nstart = "[EOS]"\nend = "[EOS]"\n[image]\nheight = 64\nwidth = 64'
    imported = load_checkpoint(tmp_path / "model.pth", "keys", write(network.state_dict(), keys))
    decoder = imported.model.decoder
    assert decoder.output.weight is decoder.embedding.weight, "what was tied stays so"
    images = torch.randn(2, 3, SIDE, SIDE)
    said = sampled(imported, images, LONGEST)
    with torch.no_grad():
        for image, caption in zip(images, said, strict=True):
            logits = network(image[None], torch.tensor([[START, *caption[:-1]]]))
            assert logits.argmax(-1)[0].tolist() == caption


def test_a_tokenizer_is_taken_as_it_is(
    write: Callable[..., ImportOptions], tokenizer: Tokenizer, tmp_path: Path
) -> None:
    network = Captioner(ModelConfig(encoder="squeezenet1_1", hidden=8), tokenizer.size)
    options = write(network.state_dict(), '[model]\nencoder = "squeezenet1_1"\nhidden = 8')
    (tmp_path / "words.json").write_text(tokenizer.to_json())
    imported = load_checkpoint(tmp_path / "model.pth", "keys", options)
    assert imported.tokenizer.to_json() == tokenizer.to_json()
    assert imported.model.decoder.output.out_features == tokenizer.size


def test_every_tensor_that_does_not_fit_is_named(write: Callable[..., ImportOptions], tmp_path: Path) -> None:
    network = Textbook()
    state = network.state_dict()
    del state["decoderRNN.lstm.weight_hh_l1"]
    state["decoderRNN.linear.bias"] = torch.zeros(5)
    state["scheduler.rate"] = torch.zeros(2)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path / "model.pth", "keys", write(state, PLAIN))
    assert (
        "1 missing:\n    rnn.weight_hh_l1 (64, 16), which is made of decoderRNN.lstm.weight_hh_l1\n"
        "1 misshapen:\n    output.bias, of decoderRNN.linear.bias, has to be (12,): it is (5,)\n"
        "1 unused:\n    scheduler.rate (2,)\n"
    ) in str(caught.value)
    with pytest.raises(CheckpointError, match=r"has 11 words and decoderRNN.embed.weight of .* has 12 rows"):
        load_checkpoint(tmp_path / "model.pth", "keys", write(state, PLAIN, words=WORDS[1:]))


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("", r"exactly one of \[model\] and \[rnn\]"),
        ("[model]\n[rnn]", r"exactly one of \[model\] and \[rnn\]"),
        ("[model]\nhiden = 3", "unknown model option 'hiden'"),
        ("[rnn]\nhiden = 3", "rnn 'hiden' is none of encoder, features"),
        ("[rnn]\nhidden = 0", "rnn hidden = 0 must be a whole number from 1"),
        ('[rnn]\ncell = "rnn"', "rnn cell = 'rnn' must be lstm or gru"),
        ("[rnn]\n[other]", "unknown key 'other'; known are ignore, image"),
        ("keys = 3\n[rnn]", r"keys = 3 must be a section, \[keys\]"),
        ("[rnn]\nignore = ['x']", r"ignore stands below \[rnn\]; put it above the first section"),
        ("ignore = 3\n[rnn]", "ignore = 3 must be a list"),
        ('[rnn]\n[vocabulary]\nbegin = "x"', "vocabulary 'begin' is none of start, end, pad, unknown"),
        ('[rnn]\n[vocabulary]\nstart = "x"', r"no word 'x'; \[vocabulary\] start says"),
        ("[rnn]\n[keys]\n'a(' = 'b'", "is no regular expression"),
        ("[rnn]\n[keys]\na = 3", "keys 'a' = 3 must be a name in the file, or a table"),
        ('[rnn]\n[keys]\na = { form = "b" }', "keys 'a' has 'form'; there are from, sum"),
        ('[rnn]\n[keys]\na = { from = "b", sum = ["c"] }', "has from and sum; exactly one"),
        ("[rnn]\n[keys]\na = { transpose = true }", "has no source; exactly one"),
        ('[rnn]\n[keys]\na = { sum = "b" }', "sum = 'b' must be a list of names"),
        ('[rnn]\n[keys]\na = { from = "b", rows = "1-2" }', "rows = '1-2' must be first:end, such as"),
        ('[rnn]\n[keys]\na = { from = "b", gates = "rzn" }', "must be the letters of 'ifgo'"),
        ("[rnn]\nencoder = 'squeezenet1_1'\n[keys]\n'output\\.(.*)' = 'x.\\2'", "invalid group reference"),
        (
            "[rnn]\nencoder = 'squeezenet1_1'\n[keys]\n'decoder\\.foo' = 'x'",
            r"\[keys\] .* fits no tensor of the model; its first are",
        ),
        ("[rnn]\n[image]\nheight = 64", r"\[image\] has one of height and width; give both"),
        ("[rnn", "is not TOML"),
    ],
)
def test_a_key_map_is_checked_before_any_work(
    keys: str, words: str, write: Callable[..., ImportOptions], tmp_path: Path
) -> None:
    special = "" if "vocabulary" in keys or not keys else '\n[vocabulary]\nstart = "[EOS]"\nend = "[EOS]"'
    with pytest.raises(ConfigError, match=words):
        load_checkpoint(tmp_path / "model.pth", "keys", write({"a": torch.zeros(1)}, keys + special))


def test_options_of_other_layouts_are_refused(write: Callable[..., ImportOptions], tmp_path: Path) -> None:
    options = write({}, PLAIN)
    with pytest.raises(OptionsError, match="layout keys needs vocabulary and keys"):
        load_checkpoint(tmp_path / "model.pth", "keys")
    with pytest.raises(OptionsError, match="layout 'kears' is unknown; there are sgrvinod, ruotianluo, keys"):
        load_checkpoint(tmp_path / "model.pth", "kears", options)
    with pytest.raises(OptionsError, match="layout sgrvinod has no use for keys"):
        load_checkpoint(tmp_path / "model.pth", "sgrvinod", options)
    with pytest.raises(OptionsError, match=r"grid=\(3, 0\) has no positions"):
        load_checkpoint(
            tmp_path / "model.pth", "sgrvinod", ImportOptions(vocabulary=Path("words"), grid=(3, 0))
        )
    with pytest.raises(OptionsError, match=r"image std = \(0.2, 0, 0.2\) must be above 0"):
        ImportOptions(std=(0.2, 0, 0.2)).image(IMAGE)


def test_the_map_in_the_document_names_every_tensor(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "import.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "keys.toml").write_text(blocks[0].replace("resnet152", "resnet18"))
    keys = KeyMap.read(tmp_path / "keys.toml")
    names = list(keys.network(7).state_dict())
    assert all(any(rule.pattern.fullmatch(name) for rule in keys.rules) for name in names)
    assert all(any(rule.pattern.fullmatch(name) for name in names) for rule in keys.rules)
    (tmp_path / "gru.toml").write_text(f'[model]\ncell = "gru"\n[keys]\n{blocks[1]}')
    assert [rule.gates for rule in KeyMap.read(tmp_path / "gru.toml").rules] == ["zrn"] * 3
