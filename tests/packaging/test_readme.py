"""Every command block of the README is executed, in order, in a folder that looks like a clone.

``make`` and ``pip`` are stood in for, since they install: ``make`` checks that a target exists, ``pip`` that
the extras do. The real ones are run by `tests/packaging/test_demo_install.py` and by ``.ci/run``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MAKE = f"""exec /usr/bin/env -u MAKEFLAGS "$(PATH=/usr/local/bin:/usr/bin:/bin command -v make)" \\
  --silent --dry-run -C "{ROOT}" "$@" > /dev/null
"""
PIP = """
[ "$1" = install ] || exit 2
for word in "$@"; do
  case "$word" in *.txt) [ -f "$word" ] || { echo "no file $word" >&2; exit 1; } ;; esac
  for extra in $(printf '%s' "$word" | sed -n 's/^\\.\\[\\(.*\\)\\]$/\\1/p' | tr ',' ' '); do
    grep -q "^$extra = \\[" pyproject.toml || { echo "no extra $extra" >&2; exit 1; }
  done
done
"""


@dataclass(frozen=True)
class Block:
    number: int
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.number}-{self.kind}-{self.text.strip().splitlines()[0][:40]}"


def blocks() -> list[Block]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return [Block(number, kind, body) for number, (kind, body) in enumerate(BLOCK.findall(text)) if kind]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clone")
    for entry in ROOT.iterdir():
        if not entry.name.startswith(".") and entry.name not in ("runs", "bundles", "captions.toml"):
            (folder / entry.name).symlink_to(entry)
    programs = folder / "programs"
    programs.mkdir()
    scripts = {
        "cnnrnn": f'exec "{sys.executable}" -m cnnrnn "$@"',
        "python": f'exec "{sys.executable}" "$@"',
        "make": MAKE,
        "pip": PIP,
    }
    for name, script in scripts.items():
        path = programs / name
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)
    return folder


def run(clone: Path, *command: str, text: str) -> subprocess.CompletedProcess[str]:
    # One thread: two cores that are shared with another training make torch wait for itself.
    threads = {"OMP_NUM_THREADS": "1"}
    variables = {
        **os.environ,
        **threads,
        "PATH": f"{clone / 'programs'}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run(
        command,
        cwd=clone,
        env=variables,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def test_the_blocks_are_found_and_each_kind_is_known() -> None:
    assert {block.kind for block in blocks()} == {"bash", "python", "toml"}
    assert len(blocks()) >= 10


@pytest.mark.slow
@pytest.mark.parametrize("block", blocks(), ids=str)
def test_a_block_runs(block: Block, clone: Path) -> None:
    for module in ("torch", "onnx", "pycocoevalcap"):
        pytest.importorskip(module)
    if block.kind == "toml":
        name = block.text.splitlines()[0].removeprefix("# ")
        assert re.fullmatch(r"\w+\.toml", name)
        (clone / name).write_text(block.text, encoding="utf-8")
        return
    command = ("bash", "-euo", "pipefail") if block.kind == "bash" else (sys.executable, "-W", "error", "-")
    done = run(clone, *command, text=block.text)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_story_ends_with_every_picture_named(clone: Path) -> None:
    """After the blocks above: the eight pictures were learnt by heart, so all eight have to be right."""
    done = run(
        clone,
        "bash",
        "-euo",
        "pipefail",
        text="cnnrnn eval bundles/first-captions cnnrnn/samples/demo --json",
    )
    assert done.returncode == 0, done.stderr
    assert '"exact_match": 1.0' in done.stdout
