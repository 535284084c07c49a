"""``cnnrnn import``: what it refuses, by the names of its flags and with the exit codes of every command.

That its bundles are right is shown in ``tests/export/imports``.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cnnrnn.cli import import_, main

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A state dict that fits nothing, one that is pickled, words, and a key map."""
    torch.save({"weight": torch.zeros(3)}, tmp_path / "model.pth")
    torch.save({"encoder": torch.nn.Linear(2, 2)}, tmp_path / "BEST.pth.tar")
    (tmp_path / "words.json").write_text(json.dumps({"<start>": 0, "<end>": 1, "a": 2}))
    (tmp_path / "keys.toml").write_text("[rnn]\nhiden = 3\n")
    return tmp_path


def run(files: Path, checkpoint: str, *flags: str, bundle: str = "bundle") -> int:
    named = [str(files / flag) if (files / flag).is_file() else flag for flag in flags]
    return main(["import", str(files / checkpoint), str(files / bundle), *named])


def test_its_layouts_are_the_librarys() -> None:
    from cnnrnn.export.imports import LAYOUTS

    assert list(import_.LAYOUTS) == list(LAYOUTS)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--as", "keys"], "--as keys needs --keys"),
        (["--as", "ruotianluo"], "--as ruotianluo needs --cnn"),
        (["--as", "sgrvinod", "--keys", "keys.toml"], "--keys is not for --as sgrvinod; leave it out"),
        (["--as", "sgrvinod", "--cnn-style", "caffe"], "--cnn-style is not for --as sgrvinod"),
        (["--as", "keys", "--keys", "keys.toml", "--grid", "14"], "--grid is not for --as keys"),
        (["--as", "keys", "--keys", "keys.toml"], "rnn 'hiden' is none of encoder"),
        (["--as", "sgrvinod", "--precision", "fp8"], "precision 'fp8' is unknown"),
        (["--as", "sgrvinod", "--doctor-report", "x.html"], "is about no precision"),
    ],
)
def test_what_contradicts_is_refused_before_any_work(
    flags: list[str], words: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(files, "model.pth", "--vocabulary", "words.json", *flags) == 2
    assert words in capsys.readouterr().err
    assert not (files / "bundle").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--image-size", "14x"], None),
        (["--image-size", "12x0"], "'12x0' is below 1; give a size such as 14 or 14x14"),
        (["--grid", "a"], "'a' is no size"),
        (["--mean", "0.5,0.5"], "'0.5,0.5' is not three numbers"),
        (["--as", "keras"], "invalid choice: 'keras'"),
    ],
)
def test_values_that_cannot_be_read(
    flags: list[str], words: str | None, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--as", "sgrvinod", "--vocabulary", "words.json", *flags]
    if words is None:  # one side stands for two
        assert run(files, "model.pth", *command) == 1
        return
    with pytest.raises(SystemExit) as stopped:
        run(files, "model.pth", *command)
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err


def test_a_checkpoint_that_does_not_fit_is_an_error_of_the_work(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--as", "sgrvinod", "--vocabulary", "words.json", "--json"]
    assert run(files, "BEST.pth.tar", *command) == 1
    output = capsys.readouterr()
    line = json.loads(output.out)
    assert line["kind"] == "CheckpointError"
    assert "torch.nn.modules.linear.Linear" in line["error"]
    assert "'decoder': checkpoint['decoder'].state_dict()}, 'state.pt')" in output.err
    assert run(files, "model.pth", *command) == 1
    assert "holds no ResNet" in json.loads(capsys.readouterr().out)["error"]
    assert sorted(path.name for path in files.iterdir()) == [
        "BEST.pth.tar",
        "keys.toml",
        "model.pth",
        "words.json",
    ]


def test_a_bundle_is_not_replaced_unasked(
    colour_bundle: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (colour_bundle / "manifest.json").read_bytes()
    command = ["--as", "sgrvinod", "--vocabulary", "words.json"]
    assert run(files, "model.pth", *command, bundle=str(colour_bundle)) == 2
    assert "holds a bundle already; give --replace" in capsys.readouterr().err
    assert run(files, "model.pth", *command, "--replace", bundle=str(colour_bundle)) == 1
    assert (colour_bundle / "manifest.json").read_bytes() == before
