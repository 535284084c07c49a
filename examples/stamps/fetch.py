"""Fetches Tux Paint's stamps, photographs and drawings with a sentence each, and splits them by picture.

    python examples/stamps/fetch.py data/stamps

They are in Debian's package ``tuxpaint-stamps-default`` (GPL-2), which ``apt-get download`` gets without
installing it; ``--package FILE`` takes one that is there. Every fifth picture, in the order of a hash of its
name, is for testing. What has no sentence, or cannot be drawn, is counted and left out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

PACKAGE = "tuxpaint-stamps-default"
STAMPS = Path("usr/share/tuxpaint/stamps")
PIXELS = 192
TEST_EVERY = 5

log = logging.getLogger("stamps.fetch")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", type=Path, help="folder to write, with train and test in it")
    parser.add_argument("--package", type=Path, help="the .deb file, where it is at hand")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as scratch:
        package = options.package or download(Path(scratch))
        subprocess.run(["dpkg-deb", "-x", str(package.resolve()), scratch], check=True)
        write(options.target, Path(scratch) / STAMPS)


def download(folder: Path) -> Path:
    """The package's file, by apt."""
    subprocess.run(["apt-get", "download", PACKAGE], cwd=folder, check=True)
    return next(folder.glob(f"{PACKAGE}_*.deb"))


def write(target: Path, stamps: Path) -> None:
    """A folder with ``captions.json`` for each part."""
    described = sorted(stamps.rglob("*.txt"))
    order = sorted(
        described, key=lambda path: hashlib.sha256(str(path.relative_to(stamps)).encode()).digest()
    )
    test = set(order[::TEST_EVERY])
    captions: dict[str, dict[str, list[str]]] = defaultdict(dict)
    left_out = 0
    for path in tqdm(described, unit="stamp"):
        part = "test" if path in test else "train"
        picture, sentence = picture_of(path), sentence_of(path)
        if picture is None or not sentence:
            left_out += 1
            continue
        name = "-".join(path.relative_to(stamps).with_suffix(".png").parts)
        (target / part).mkdir(parents=True, exist_ok=True)
        (target / part / name).write_bytes(picture)
        captions[part][name] = [sentence]
    for part, found in captions.items():
        text = json.dumps(found, ensure_ascii=False, indent=0)
        (target / part / "captions.json").write_text(text + "\n", encoding="utf-8")
        log.info("%s: %d pictures", target / part, len(found))
    log.info("left out: %d", left_out)


def sentence_of(path: Path) -> str:
    """The first line, which is English; the others are translations."""
    return path.read_text(encoding="utf-8").partition("\n")[0].strip()


def picture_of(path: Path) -> bytes | None:
    """The stamp as PNG, written anew, since some have profiles that every reader warns of; or drawn."""
    if (photograph := path.with_suffix(".png")).is_file():
        data = np.frombuffer(photograph.read_bytes(), np.uint8)
        return bytes(cv2.imencode(".png", cv2.imdecode(data, cv2.IMREAD_UNCHANGED))[1])
    drawing = path.with_suffix(".svg")
    if not drawing.is_file():
        return None
    import resvg_py

    try:
        return bytes(resvg_py.svg_to_bytes(svg_path=str(drawing), width=PIXELS))
    except ValueError as error:
        log.warning("%s cannot be drawn: %s", drawing.name, error)
        return None


if __name__ == "__main__":
    main()
