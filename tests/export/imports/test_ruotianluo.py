"""ImageCaptioning.pytorch: each of its captioners, with its ResNet, says what its own sampling says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import torch
from torch import Tensor
from torchvision.models import resnet50

import cnnrnn
from cnnrnn.cli import main
from cnnrnn.core.bundle import Bundle
from cnnrnn.core.errors import CheckpointError, OptionsError
from cnnrnn.export import check_model
from cnnrnn.export.imports import ImportOptions, import_checkpoint, load_checkpoint
from tests.export.imports.captioning import LONGEST, WORDS, CaffeResNet, make_captioner, read_features
from tests.export.imports.decoding import sampled
from tests.export.imports.trunks import SIDE, normalised, trained_resnet, write_pictures

GRID = 3
FEW = 10
Features: TypeAlias = tuple[list[Path], list[tuple[Tensor, Tensor]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ResNet's file, as the program has it without its classifier's counters, and pictures."""
    folder = tmp_path_factory.mktemp("ruotianluo")
    state = trained_resnet(CaffeResNet).state_dict()
    old = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    torch.save(old, folder / "resnet.pth")
    write_pictures(folder / "pictures", 100)
    return folder


@pytest.fixture(scope="module")
def features(folder: Path) -> Features:
    """The pictures, and what the program's own ResNet makes of each."""
    resnet = CaffeResNet().eval()
    resnet.load_state_dict(torch.load(folder / "resnet.pth", weights_only=True), strict=False)
    paths = sorted((folder / "pictures").iterdir())
    return paths, [read_features(resnet, image, GRID) for image in normalised(paths[: 2 * FEW])]


def written(folder: Path, **opt: Any) -> tuple[Any, ImportOptions]:
    """A captioner, whose files are in the folder by its name: model.pth, infos as JSON."""
    network, options = make_captioner(**opt)
    torch.save(network.state_dict(), folder / "model.pth")
    words = {str(number): word for number, word in enumerate(WORDS, 1)}
    (folder / "infos.json").write_text(json.dumps({"opt": options, "vocab": words, "iter": 3}))
    return network, ImportOptions(
        vocabulary=folder / "infos.json", cnn=folder / "resnet.pth", size=(SIDE, SIDE), grid=(GRID, GRID)
    )


@pytest.mark.parametrize(
    "opt",
    [
        {"caption_model": "show_tell", "num_layers": 2},
        {"caption_model": "show_tell", "rnn_type": "gru"},
        {"caption_model": "fc"},
        {"caption_model": "newfc"},
        {"caption_model": "att2in", "norm_att_feat": 1},
        {"caption_model": "att2in2", "use_bn": 2},
        {"caption_model": "topdown", "use_bn": 1},
    ],
    ids=lambda opt: "-".join(map(str, opt.values())),
)
def test_every_captioner_is_its_own_program(opt: dict[str, Any], folder: Path, features: Features) -> None:
    network, options = written(folder, **opt)
    imported = load_checkpoint(folder / "model.pth", "ruotianluo", options)
    paths, read = features
    wanted = [network.sample(*entry)[0] for entry in read]
    assert len({tuple(caption) for caption in wanted}) > 3, "captions that are all the same prove nothing"
    found = sampled(imported, normalised(paths[: len(read)]), LONGEST)
    end = imported.tokenizer.end
    assert [[token for token in caption if token != end] for caption in found] == wanted
    report = check_model(
        imported.model, SIDE, vocabulary=imported.tokenizer.size, alignment_grid=imported.alignment_grid
    )
    assert report.ok, str(report)
    assert imported.search.max_length == LONGEST
    assert (imported.alignment_grid is None) == (opt["caption_model"] in ("show_tell", "fc", "newfc"))


def test_the_command_makes_a_bundle_that_says_what_the_program_says(
    folder: Path, features: Features, capsys: pytest.CaptureFixture[str]
) -> None:
    network, _ = written(folder, caption_model="newfc")
    bundle = folder / "newfc"
    command = ["import", str(folder / "model.pth"), str(bundle), "--as", "ruotianluo", "--json"]
    command += ["--vocabulary", str(folder / "infos.json"), "--cnn", str(folder / "resnet.pth")]
    command += ["--image-size", str(SIDE), "--pictures", str(folder / "pictures")]
    assert main(command) == 0
    line = json.loads(capsys.readouterr().out)
    assert (line["bundle"], line["passed"], line["pictures"]) == (str(bundle), True, 100)
    says_the_same(bundle, network, features)
    manifest = Bundle.open(bundle).manifest
    assert manifest.name == "model"
    assert manifest.vocabulary.size == len(WORDS) + 3, "start and padding stand behind the words"
    assert manifest.vocabulary.end == (0,)
    assert manifest.provenance["caption_model"] == "newfc"


def test_the_bundle_of_one_that_looks_and_speaks(folder: Path, features: Features) -> None:
    network, options = written(folder, caption_model="updown")
    import_checkpoint(
        folder / "model.pth",
        folder / "updown",
        "ruotianluo",
        options=options,
        pictures=folder / "pictures",
        least_pictures=2 * FEW,
        most_pictures=2 * FEW,
    )
    says_the_same(folder / "updown", network, features)
    assert Bundle.open(folder / "updown").manifest.alignment_grid == (GRID, GRID)


def says_the_same(bundle: Path, network: Any, features: Features) -> None:
    """Greedy captions, and what they are worth."""
    paths, read = features
    with cnnrnn.load(bundle) as captioner:
        results = captioner(paths[: len(read)], beams=1)
    for result, entry in zip(results, read, strict=True):
        words, total = network.sample(*entry)
        assert result.text == " ".join(WORDS[word - 1] for word in words).replace("UNK", "<unk>")
        assert result.best.logprob == pytest.approx(total, abs=1e-3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"input_att_dir": "data/cocobu_att"}, r"input_att_dir is 'cocobu_att': .* bottom-up detector"),
        ({"input_fc_dir": "/data/f30kbu_fc"}, r"input_fc_dir is 'f30kbu_fc'"),
        ({"use_box": 1}, "use_box is set: .* bottom-up detector"),
        ({"caption_model": "transformer"}, "caption_model is 'transformer'; show_tell, fc,"),
        ({"caption_model": None}, "has no caption_model; give the options of the training as JSON"),
        ({"logit_layers": 2}, "logit_layers is 2; 1 is read"),
        ({"max_length": "x"}, "max_length is 'x'; it has to be a whole number"),
        (
            {"caption_model": "att2in2"},
            r"(?s)6 missing:\n    core\.h2h\.weight .*10 unused:\n    fc_em",
        ),
    ],
)
def test_what_cannot_be_run_beside_a_cnn_is_refused(
    changes: dict[str, Any], words: str, folder: Path
) -> None:
    _, options = written(folder, caption_model="updown")
    infos = json.loads((folder / "infos.json").read_text())
    infos["opt"] |= changes
    (folder / "infos.json").write_text(json.dumps(infos))
    with pytest.raises(CheckpointError, match=words):
        load_checkpoint(folder / "model.pth", "ruotianluo", options)


def test_another_cnn_and_another_vocabulary(folder: Path, tmp_path: Path) -> None:
    _, options = written(folder, caption_model="newfc")
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in resnet50().state_dict().items()}
    torch.save({name: torch.zeros(shape) for name, shape in shapes.items()}, tmp_path / "resnet50.pth")
    with pytest.raises(
        CheckpointError, match=r"gives features of 2048 values and .* takes fc features of 512"
    ):
        load_checkpoint(folder / "model.pth", "ruotianluo", replace(options, cnn=tmp_path / "resnet50.pth"))
    words = {str(number): word for number, word in enumerate(WORDS[:-2], 1)}
    (tmp_path / "cocotalk.json").write_text(json.dumps({"ix_to_word": words, "images": []}))
    other = replace(options, vocabulary=tmp_path / "cocotalk.json", options=folder / "infos.json")
    with pytest.raises(CheckpointError, match=r"has 11 words and embed.weight of .* has 13 rows"):
        load_checkpoint(folder / "model.pth", "ruotianluo", other)
    with pytest.raises(OptionsError, match="cnn_style='keras' is none of caffe, torchvision"):
        load_checkpoint(folder / "model.pth", "ruotianluo", replace(options, cnn_style="keras"))
