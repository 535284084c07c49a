"""The wheel in a fresh environment that holds what its metadata asks for, and nothing else."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cnnrnn.core.bundle import shipped_bundles
from cnnrnn.core.samples import package_data, pictures_in

ENGINE_AND_OPENCV = ("onnxruntime", "opencv-python", "opencv-python-headless")


def closure(names: list[str]) -> dict[str, importlib.metadata.Distribution]:
    """The named distributions and, as installed here, everything that they require without an extra."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform or Python
        for requirement in found[name].requires or []:
            needed, _, marker = requirement.partition(";")
            if "extra" not in marker:
                waiting.append(re.split(r"[^A-Za-z0-9._-]", needed.strip(), maxsplit=1)[0])
    return found


def requirements_of(wheel_folder: Path) -> list[str]:
    (metadata,) = wheel_folder.glob("cnnrnn-*.dist-info/METADATA")
    lines = re.findall(r"^Requires-Dist: ([A-Za-z0-9._-]+)[^;\n]*$", metadata.read_text(), re.MULTILINE)
    assert lines
    return lines


@pytest.fixture(scope="module")
def python(builder: Any, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel, its base requirements, an engine and OpenCV."""
    interpreter: Path = builder.environment(tmp_path_factory.mktemp("fresh") / "environment")
    folder: Path = builder.unpack(wheel, interpreter)
    for distribution in closure([*requirements_of(folder), *ENGINE_AND_OPENCV]).values():
        tops = {
            Path(str(file)).parts[0] for file in distribution.files or [] if not str(file).startswith("..")
        }
        for top in tops - {"__pycache__"}:
            source, target = Path(str(distribution.locate_file(top))), folder / top
            if source.exists() and not target.exists():
                target.symlink_to(source)
    return interpreter


def run(python: Path, builder: Any, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, *arguments], cwd=folder, env=builder.variables(), capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "module", ["torch", "torchvision", "onnx", "onnxscript", "tensorrt", "cuda", "matplotlib"]
)
def test_what_running_does_not_need_is_not_there(
    module: str, python: Path, builder: Any, tmp_path: Path
) -> None:
    done = run(python, builder, tmp_path, "-c", f"import {module}")
    assert f"No module named '{module}'" in done.stderr


def test_it_captions_pictures(
    python: Path, builder: Any, colour_bundle: Path, colour_pictures: Path, tmp_path: Path
) -> None:
    done = run(
        python, builder, tmp_path, "-W", "error", "-m", "cnnrnn", "demo", "--json",
        "--bundle", str(colour_bundle), "--pictures", str(colour_pictures),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    texts = [json.loads(line)["text"] for line in done.stdout.splitlines()]
    assert texts == ["a blue square", "a green square", "a red square"]
    assert (tmp_path / "demo.html").is_file()


def test_it_demonstrates_the_shipped_bundle(python: Path, builder: Any, tmp_path: Path) -> None:
    assert "emoji" in shipped_bundles()
    pictures = pictures_in(package_data("samples") / "demo")
    assert len(pictures) == 8
    done = run(python, builder, tmp_path, "-W", "error", "-m", "cnnrnn", "demo", "--json")
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(answer["image"]).name for answer in answers] == [picture.name for picture in pictures]
    assert all(answer["text"] and len(answer["hypotheses"]) == 5 for answer in answers)


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["train", "config.toml"], "pip install 'cnnrnn[train]'"),
        (["export", "best.pt", "bundle"], "pip install 'cnnrnn[export]'"),
        (
            ["import", "state.pt", "bundle", "--as", "sgrvinod", "--vocabulary", "words.json"],
            "pip install 'cnnrnn[export]'",
        ),
    ],
)
def test_what_needs_torch_says_how_to_get_it(
    arguments: list[str], command: str, python: Path, builder: Any, tmp_path: Path
) -> None:
    done = run(python, builder, tmp_path, "-m", "cnnrnn", *arguments)
    assert done.returncode == 3, done.stderr
    assert command in done.stderr
    assert "Traceback" not in done.stderr


def test_the_doctor_says_that_it_can_run_bundles(python: Path, builder: Any, tmp_path: Path) -> None:
    done = run(python, builder, tmp_path, "-m", "cnnrnn", "doctor", "--json")
    assert done.returncode == 0, done.stdout
    found = {finding["part"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert not found["PyTorch"]["ok"]
