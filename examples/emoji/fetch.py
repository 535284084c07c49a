"""Fetches the emoji pictures by npm and writes one folder per vendor with ``captions.json``.

    python examples/emoji/fetch.py data/emoji

Pictures: Noto (Google, Apache-2.0), Twemoji (Twitter, CC-BY-4.0), OpenMoji (CC-BY-SA-4.0), and Fluent
(Microsoft, MIT), which is never trained on. Captions: the Unicode CLDR short names as OpenMoji's table has
them. Skin-tone variants are folded into their base, and only emoji that the first three draw are kept.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import tarfile
import tempfile
from pathlib import Path

import resvg_py
from tqdm import tqdm

PACKAGES = {
    "noto": "emoji-datasource-google@16.0.0",
    "twemoji": "emoji-datasource-twitter@16.0.0",
    "openmoji": "openmoji@17.0.0",
    "fluent": "@iconify-json/fluent-emoji-flat@1.2.6",
}
PIXELS = 128

log = logging.getLogger("emoji.fetch")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", type=Path, help="folder to write, one subfolder per vendor")
    parser.add_argument("--packages", type=Path, help="folder of packages already fetched by 'npm pack'")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as scratch:
        folders = {
            vendor: unpack(spec, options.packages, Path(scratch) / vendor)
            for vendor, spec in PACKAGES.items()
        }
        names = caption_names(folders["openmoji"], folders["noto"])
        for vendor, folder in folders.items():
            write_vendor(options.target / vendor, pictures(vendor, folder, names), names)


def unpack(spec: str, packages: Path | None, target: Path) -> Path:
    """Unpacks an npm package, fetching it first where it is not among those at hand."""
    target.mkdir(parents=True)
    name = spec.rsplit("@", 1)[0].lstrip("@").replace("/", "-")
    archive = packages / f"{name}-{spec.rsplit('@', 1)[1]}.tgz" if packages else None
    if archive is None or not archive.is_file():
        log.info("fetching %s", spec)
        command = ["npm", "pack", "--silent", "--pack-destination", str(target), spec]
        archive = target / subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    with tarfile.open(archive) as tar:
        tar.extractall(target, filter="data")
    return target / "package"


def key(code: str) -> str:
    """A sequence of code points without the presentation selector, which vendors write or leave out."""
    return "-".join(part for part in code.upper().split("-") if part != "FE0F")


def caption_names(openmoji: Path, noto: Path) -> dict[str, str]:
    """Code points to CLDR short name, for what all three vendors draw, skin tones folded."""
    table = json.loads((openmoji / "data" / "openmoji.json").read_text(encoding="utf-8"))
    drawn = {key(entry["unified"]) for entry in json.loads((noto / "emoji.json").read_text(encoding="utf-8"))}
    names = {
        key(entry["hexcode"]): entry["annotation"]
        for entry in table
        if not entry["skintone"] and not entry["group"].startswith("extras")
    }
    return {code: name for code, name in sorted(names.items()) if code in drawn}


def pictures(vendor: str, folder: Path, names: dict[str, str]) -> dict[str, bytes]:
    """Code points to a square PNG with transparency."""
    if vendor in ("noto", "twemoji"):
        image = {"noto": "google", "twemoji": "twitter"}[vendor]
        entries = json.loads((folder / "emoji.json").read_text(encoding="utf-8"))
        return {
            key(entry["unified"]): (folder / "img" / image / "64" / entry["image"]).read_bytes()
            for entry in entries
            if entry[f"has_img_{image}"] and key(entry["unified"]) in names
        }
    if vendor == "openmoji":
        drawings = {
            key(path.stem): path.read_text(encoding="utf-8") for path in (folder / "color/svg").glob("*.svg")
        }
    else:
        drawings = fluent_drawings(folder, names)
    kept = {code: drawings[code] for code in names if code in drawings}
    return {
        code: resvg_py.svg_to_bytes(svg_string=svg, width=PIXELS, height=PIXELS)
        for code, svg in tqdm(kept.items(), desc=vendor, unit="picture")
    }


def fluent_drawings(folder: Path, names: dict[str, str]) -> dict[str, str]:
    """Iconify's Fluent set, matched by code point where its table has one, else by name."""
    icons = json.loads((folder / "icons.json").read_text(encoding="utf-8"))
    by_code = {
        key(code): icon
        for code, icon in json.loads((folder / "chars.json").read_text(encoding="utf-8")).items()
    }
    size = f'viewBox="0 0 {icons.get("width", 16)} {icons.get("height", 16)}"'
    return {
        code: f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{icons["icons"][by_code[code]]["body"]}</svg>'
        for code in names
        if by_code.get(code) in icons["icons"]
    }


def write_vendor(folder: Path, files: dict[str, bytes], names: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    captions = {}
    for code, data in files.items():
        (folder / f"{code.lower()}.png").write_bytes(data)
        captions[f"{code.lower()}.png"] = [names[code]]
    text = json.dumps(captions, ensure_ascii=False, indent=0, sort_keys=True)
    (folder / "captions.json").write_text(text + "\n", encoding="utf-8")
    log.info("%s: %d pictures", folder, len(files))


if __name__ == "__main__":
    main()
