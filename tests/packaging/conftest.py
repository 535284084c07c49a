"""The wheel and the sdist, built once from a copy of the tree, without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _left_out(folder: str, names: list[str]) -> set[str]:
    """What a clone would not hold, so that a copy is as small as one."""
    ignored = shutil.ignore_patterns(
        ".git", ".venv*", "__pycache__", "*.egg-info", "build", "dist", ".*_cache"
    )
    generated = {"data", "runs", "downloads"} if Path(folder) == ROOT else set()
    return ignored(folder, names) | generated


class Builder:
    """Calls the build backend and makes environments, all without a network."""

    @staticmethod
    def build(tree: Path, hook: str, target: Path) -> Path:
        """Call one hook of the build backend in ``tree`` and return the file that it made in ``target``."""
        target.mkdir(parents=True, exist_ok=True)
        code = f"from setuptools import build_meta; print('made', build_meta.{hook}({str(target)!r}))"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tree, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return target / done.stdout.rpartition("made ")[2].strip()

    @staticmethod
    def environment(folder: Path) -> Path:
        """Make an empty virtual environment and return its interpreter."""
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        return folder / "bin" / "python"

    @staticmethod
    def unpack(wheel: Path, python: Path) -> Path:
        """Install a pure wheel as an installer does, less its scripts; returns the folder it went into."""
        code = "import sysconfig; print(sysconfig.get_path('purelib'))"
        found = subprocess.run(
            [python, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(found)
        return Path(found)

    @staticmethod
    def variables() -> dict[str, str]:
        """The environment's variables, less those that let an interpreter see another one's packages."""
        return {
            key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))
        }


@pytest.fixture(scope="session")
def builder() -> Builder:
    return Builder()


@pytest.fixture(scope="session")
def repository() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, its symlinks kept: builds write into the tree that they build."""
    copy = tmp_path_factory.mktemp("tree") / "cnnrnn"
    shutil.copytree(ROOT, copy, symlinks=True, ignore=_left_out)
    return copy


@pytest.fixture(scope="session")
def wheel(builder: Builder, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return builder.build(tree, "build_wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def sdist(builder: Builder, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return builder.build(tree, "build_sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="session")
def editable(builder: Builder, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return builder.build(tree, "build_editable", tmp_path_factory.mktemp("editable"))
