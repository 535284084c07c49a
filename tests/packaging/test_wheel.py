"""The wheel holds the package, all of it, and nothing else."""

from __future__ import annotations

import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

WHEEL_LIMIT_BYTES = 100_000_000
EXTRAS = {
    "cpu",
    "gpu",
    "cuda12",
    "cuda13",
    "tensorrt",
    "tensorrt-rtx",
    "pycuda",
    "opencv",
    "headless",
    "train",
    "export",
    "eval",
    "video",
    "dicom",
    "dev",
}


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> list[tuple[str, str]]:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode()).items()


def test_its_top_level_is_the_package_alone(names: set[str]) -> None:
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"cnnrnn"}


def test_it_holds_every_source_file_and_every_data_file(names: set[str], tree: Path) -> None:
    wanted = set()
    for folder, inside in (("cnnrnn", "cnnrnn"), ("export", "cnnrnn/export"), ("runtime", "cnnrnn/runtime")):
        for path in (tree / folder).rglob("*"):
            relative = path.relative_to(tree / folder)
            if path.is_file() and path.suffix != ".pyc" and relative.parts[0] not in ("export", "runtime"):
                wanted.add(f"{inside}/{relative.as_posix()}")
    found = {name for name in names if name.startswith("cnnrnn/")}
    assert "cnnrnn/runtime/__init__.py" in wanted
    assert "cnnrnn/cli/page/page.css" in wanted
    assert found == wanted


def test_it_stays_below_its_limit(wheel: Path) -> None:
    assert wheel.stat().st_size < WHEEL_LIMIT_BYTES


def test_its_extras_are_those_that_are_documented(metadata: list[tuple[str, str]]) -> None:
    assert {value for key, value in metadata if key == "Provides-Extra"} == EXTRAS


def test_engines_torch_and_opencv_are_extras_only(metadata: list[tuple[str, str]]) -> None:
    base = {value for key, value in metadata if key == "Requires-Dist" and "extra ==" not in value}
    assert {requirement.partition(">")[0] for requirement in base} == {"numpy", "tokenizers"}


def test_each_requirement_states_where_its_range_begins(metadata: list[tuple[str, str]]) -> None:
    requirements = [
        value for key, value in metadata if key == "Requires-Dist" and not value.startswith("cnnrnn[")
    ]
    assert [value for value in requirements if ">=" not in value] == []


def test_an_opencv_comes_with_the_extra_of_its_name_alone(metadata: list[tuple[str, str]]) -> None:
    """One that brought another, be it through ``cnnrnn[opencv]``, would put a second beside the user's."""
    bringing: dict[str, list[str]] = {}
    for key, value in metadata:
        requirement, _, marker = value.partition(";")
        if key == "Requires-Dist" and requirement.startswith(("opencv", "cnnrnn")):
            bringing.setdefault(marker.strip(), []).append(requirement.partition(">")[0].strip())
    assert bringing == {
        'extra == "opencv"': ["opencv-python"],
        'extra == "headless"': ["opencv-python-headless"],
    }
