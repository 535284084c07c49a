"""The command line as a whole: help, exit codes, broken pipes, ``python -m``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import cnnrnn
from cnnrnn.cli import COMMANDS, command_name, inspect, main, parser
from cnnrnn.core import errors

ROOT = Path(__file__).resolve().parents[2]


def command(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "cnnrnn", *arguments],
        cwd=cwd,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_command_has_help_that_names_json() -> None:
    text = parser().format_help()
    for module in COMMANDS:
        name = command_name(module)
        assert f"    {name} " in text
        with pytest.raises(SystemExit) as stopped:
            main([name, "--help"])
        assert stopped.value.code == 0


@pytest.mark.parametrize("module", COMMANDS)
def test_every_command_takes_json(module: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command_name(module), "--help"])
    assert "--json" in capsys.readouterr().out


def test_the_version_is_the_packages() -> None:
    assert command("--version").stdout.strip() == f"cnnrnn {cnnrnn.__version__}"


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["run"], ["run", "emoji"], ["inspect", "--nonesuch", "emoji"]]
)
def test_a_command_line_that_cannot_be_read_is_exit_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json"],
        ["fly", "--json"],
        *([command_name(module), "--json", "--nonesuch"] for module in COMMANDS),
    ],
)
def test_with_json_that_is_a_line_too(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    output = capsys.readouterr()
    line = json.loads(output.out)
    assert line["kind"] == "OptionsError"
    assert output.err.splitlines()[-1] == f"cnnrnn: {line['error']}"


def test_a_misspelt_option_shows_the_usage_of_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "emoji", "cat.png", "--beems", "3"])
    output = capsys.readouterr()
    assert output.err.startswith("usage: cnnrnn run ")
    assert output.err.endswith("cnnrnn: unrecognized arguments: --beems 3; did you mean --beams?\n")
    assert output.out == ""


def test_options_are_written_out_in_full() -> None:
    with pytest.raises(errors.OptionsError, match="did you mean --beams"):
        parser().parse_args(["run", "emoji", "cat.png", "--beam", "3"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", "nope"],
        ["eval", "emoji", "nope"],
        ["train", "nope.toml"],
        ["export", "nope.pt", "bundle"],
        ["import", "nope.pt", "bundle", "--as", "sgrvinod", "--vocabulary", "words.json"],
    ],
)
def test_what_a_command_is_about_has_to_exist(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert "nope" in capsys.readouterr().err


def test_a_bundle_is_not_replaced_unasked(colour_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    before = (colour_bundle / "manifest.json").read_bytes()
    checkpoint = str(colour_bundle / "tokenizer.json")  # any file: what it holds is not looked at yet
    assert main(["export", checkpoint, str(colour_bundle)]) == 2
    assert "holds a bundle already; give --replace" in capsys.readouterr().err
    assert main(["export", checkpoint, str(colour_bundle), "--replace"]) == 1
    assert "not a checkpoint" in capsys.readouterr().err
    assert (colour_bundle / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.BundleError("altered"), 1),
        (errors.OptionsError("beams=0"), 2),
        (errors.MissingDependencyError("pip install it"), 3),
        (KeyboardInterrupt(), 128 + signal.SIGINT),
    ],
)
def test_the_exit_codes(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(arguments: object) -> int:
        raise error

    monkeypatch.setattr(inspect, "run", fail)
    assert main(["inspect", "emoji", "--json"]) == code
    if isinstance(error, errors.CnnrnnError):
        output = capsys.readouterr()
        assert json.loads(output.out) == {"error": str(error), "kind": type(error).__name__}
        assert str(error) in output.err


def test_a_mistake_in_the_program_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(arguments: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(inspect, "run", fail)
    with pytest.raises(ZeroDivisionError):
        main(["inspect", "emoji"])


def test_a_reader_that_goes_away_is_no_crash(colour_bundle: Path, colour_pictures: Path) -> None:
    pictures = [str(colour_pictures / "red.png")] * 200
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-m", "cnnrnn", "run", str(colour_bundle), *pictures, "--json"],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["text"] == "a red square"
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == 1


def test_inspect_describes_and_verifies(colour_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(colour_bundle)]) == 0
    text = capsys.readouterr().out
    for said in (
        "colours: Names the colour",
        "9 tokens",
        "8 × 8, letterbox",
        "2 × 2 grid",
        "memory_colour",
        "beam1, beam5",
    ):
        assert said in text
    assert main(["inspect", str(colour_bundle), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["verified"] is True
    assert answer["vocabulary"]["size"] == 9
    assert answer["bytes"] == sum(entry["bytes"] for entry in answer["files"].values())


def test_inspect_puts_rows_of_numbers_in_brief() -> None:
    names = [f"beam{width}" for width in range(1, 33)]
    assert inspect._ranges(names) == "beam1 to beam32"
    assert inspect._ranges(["greedy", *names[3:12], "beam31", "beam32"]) == (
        "greedy, beam4 to beam12, beam31, beam32"
    )
    assert inspect._ranges([]) == ""


def test_inspect_notices_an_altered_file(
    colour_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(colour_bundle, copy)
    graph = copy / "fp32" / "step.onnx"
    data = bytearray(graph.read_bytes())
    data[-1] ^= 1
    graph.write_bytes(data)
    assert main(["inspect", str(copy)]) == 1
    assert "step.onnx" in capsys.readouterr().err
