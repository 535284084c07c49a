"""What the Makefile decides by looking at the machine: which Python, and which OpenCV."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
SYSTEM_PATH = "/usr/bin:/bin"


def make(
    repository: Path, *arguments: str, path: str = SYSTEM_PATH, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", "-C", str(repository), *arguments],
        env={"PATH": path, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("imports_cv2", "variables", "extra"),
    [
        (True, {}, ""),
        (True, {"DISPLAY": ":0"}, ""),
        (False, {}, ",headless"),
        (False, {"DISPLAY": ""}, ",headless"),
        (False, {"DISPLAY": ":0"}, ",opencv"),
        (False, {"WAYLAND_DISPLAY": "wayland-0"}, ",opencv"),
    ],
)
def test_the_opencv_rule(
    imports_cv2: bool, variables: dict[str, str], extra: str, repository: Path, tmp_path: Path
) -> None:
    program(tmp_path / "bin" / "python", "exit 0" if imports_cv2 else "exit 1")
    done = make(repository, "opencv-extra", f"VENV={tmp_path}", **variables)
    assert done.returncode == 0, done.stderr
    assert done.stdout == extra + "\n"


def test_no_usable_python_is_said_clearly(repository: Path, tmp_path: Path) -> None:
    """A name on the PATH that only prints an error, as version managers leave them, is not a Python."""
    names = tmp_path / "names"
    for name in ("sh", "bash", "make", "echo"):
        program(names / name, "").unlink()
        (names / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    for name in ("python3", "python3.10", "python3.11", "python3.12", "python3.13", "python3.14"):
        program(names / name, "echo 'command not found' >&2; exit 127")
    venv = tmp_path / "venv"
    done = make(repository, f"{venv}/bin/python", f"VENV={venv}", path=str(names))
    assert done.returncode == 2
    assert "3.10 or newer" in done.stderr
    assert not venv.exists()


def test_the_first_python_that_works_is_taken(repository: Path, tmp_path: Path) -> None:
    """Not the first name on the list: that one may not start."""
    names, venv = tmp_path / "names", tmp_path / "venv"
    program(names / "python3.13", "exit 127")
    program(
        names / "python3.12",
        f'if [ "$1" = -m ]; then echo "$@" >> "{tmp_path}/calls"; fi; echo Python 3.12.9',
    )
    done = make(repository, f"{venv}/bin/python", f"VENV={venv}", path=f"{names}{os.pathsep}{SYSTEM_PATH}")
    assert "with Python 3.12.9" in done.stdout
    assert (tmp_path / "calls").read_text() == f"-m venv {venv}\n"


@pytest.mark.parametrize("trained", [False, True])
def test_the_emoji_bundle_is_judged_on_a_fresh_clone(trained: bool, repository: Path, tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(repository / name, tmp_path / name)
    if trained:
        (tmp_path / "data" / "emoji").mkdir(parents=True)
        (tmp_path / "runs" / "emoji").mkdir(parents=True)
        (tmp_path / "runs" / "emoji" / "last.pt").touch()
    for name in ("python", "cnnrnn"):
        program(tmp_path / ".venv" / "bin" / name, f'echo {name} "$@" >> "{tmp_path}/calls"')
    (tmp_path / ".venv" / ".installed-test").touch()
    done = make(tmp_path, "judge-emoji")
    assert done.returncode == 0, done.stderr
    calls = [call for call in (tmp_path / "calls").read_text().splitlines() if " -m pip " not in call]
    fetch = ["python examples/emoji/fetch.py data/emoji"]
    resume = " --resume" if trained else ""
    assert calls == [
        *([] if trained else fetch),
        f"cnnrnn train examples/emoji/emoji.toml{resume}",
        "python examples/emoji/leave_one_out.py --shipped cnnrnn/bundles/emoji",
        "python examples/emoji/notes.py runs/emoji/notes.md",
        "cnnrnn eval emoji data/emoji/fluent --beams 5 --no-java --card docs/emoji.md "
        "--card-notes runs/emoji/notes.md",
    ]


def test_ci_runs_what_the_readme_tells_a_newcomer_to_run(repository: Path) -> None:
    script = (repository / ".ci" / "run").read_text()
    assert "make test\n" in script
    assert "make demo " in script
    assert os.access(repository / ".ci" / "run", os.X_OK)
