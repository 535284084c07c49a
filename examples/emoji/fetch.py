"""Fetches the emoji pictures by npm and writes one folder per vendor with ``captions.json``.

    python examples/emoji/fetch.py data/emoji

Pictures: Noto (Google, Apache-2.0), Twemoji (Twitter, CC-BY-4.0) and OpenMoji (CC-BY-SA-4.0), which draw
every emoji; Noto before 2017 (Apache-2.0), EmojiOne 1 (CC-BY-SA-4.0) and 2 (CC-BY-4.0), Firefox OS's
(Mozilla, Apache-2.0) and Streamline's (CC-BY-4.0), which draw some; and Fluent (Microsoft, MIT), which is
never trained on. Captions: the Unicode CLDR short names as OpenMoji's table has them. Skin-tone variants are
folded into their base, and only emoji that the first three draw are kept.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import subprocess
import tarfile
import tempfile
import unicodedata
from pathlib import Path
from typing import Any

import resvg_py
from tqdm import tqdm

PACKAGES = {
    "noto": "emoji-datasource-google@16.0.0",
    "twemoji": "emoji-datasource-twitter@16.0.0",
    "openmoji": "openmoji@17.0.0",
    "fluent": "@iconify-json/fluent-emoji-flat@1.2.6",
    "noto-v1": "@iconify-json/noto-v1@1.2.5",
    "emojione": "@iconify-json/emojione@1.2.3",
    "emojione-v1": "@iconify-json/emojione-v1@1.2.3",
    "fxemoji": "@iconify-json/fxemoji@1.2.2",
    "streamline": "@iconify-json/streamline-emojis@1.2.4",
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
    """Square PNG by code points; further drawings of the same emoji have a number after a low line."""
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
        drawings = icon_drawings(folder, names)
    kept = {stem: svg for stem, svg in drawings.items() if code_of(stem) in names}
    return {
        stem: resvg_py.svg_to_bytes(svg_string=svg, width=PIXELS, height=PIXELS)
        for stem, svg in tqdm(kept.items(), desc=vendor, unit="picture")
    }


def code_of(stem: str) -> str:
    """The code points of what a file shows."""
    return stem.split("_")[0]


def icon_drawings(folder: Path, names: dict[str, str]) -> dict[str, str]:
    """Iconify's set, matched by code point where it has a table of them, else by its icons' names."""
    icons = json.loads((folder / "icons.json").read_text(encoding="utf-8"))
    by_code = {
        key(code): [icon]
        for code, icon in json.loads((folder / "chars.json").read_text(encoding="utf-8")).items()
        if icon in icons["icons"]
    } or by_name(icons, names)
    return {
        f"{code}_{number}" if number else code: svg_of(icons, icon)
        for code in names
        for number, icon in enumerate(by_code.get(code, ()))
    }


def svg_of(icons: dict[str, Any], icon: str) -> str:
    """A whole SVG of an icon, whose size is the set's where it has none of its own."""
    entry = icons["icons"][icon]
    width, height = (entry.get(side, icons.get(side, 16)) for side in ("width", "height"))
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">{entry["body"]}</svg>'


def by_name(icons: dict[str, Any], names: dict[str, str]) -> dict[str, list[str]]:
    """The icons of each emoji, by its short name or, for those of one code point, its character's name.

    Tried are an icon's name, its aliases, and both without a number at the end, which tells several drawings
    of one emoji apart, or without ``face``. A flag is ``flag-for-peru`` or ``peru``.
    """
    codes: dict[str, str] = {}
    for code, name in names.items():
        codes.setdefault(letters(name), code)
    for code, name in names.items():
        if name.startswith("flag: "):
            codes.setdefault(letters(name.replace(":", " for")), code)
        if "-" not in code:
            codes.setdefault(letters(unicodedata.name(chr(int(code, 16)), "")), code)
    aliases: dict[str, list[str]] = {}
    for alias, entry in icons.get("aliases", {}).items():
        aliases.setdefault(entry["parent"], []).append(alias)
    found: dict[str, list[str]] = {}
    for icon in icons["icons"]:
        tried = [
            word
            for called in (icon, *aliases.get(icon, ()))
            for plain in (letters(called), letters(re.sub(r"-\d+$", "", called)))
            for word in (plain, f"flag{plain}", plain.removesuffix("face"))
        ]
        code = next((codes[word] for word in tried if word and word in codes), None)
        if code:
            found.setdefault(code, []).append(icon)
    return found


def letters(name: str) -> str:
    """A name's letters and digits, small and without accents."""
    return re.sub(r"[^a-z0-9]", "", unicodedata.normalize("NFKD", name.lower()))


def write_vendor(folder: Path, files: dict[str, bytes], names: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    captions = {}
    for stem, data in files.items():
        (folder / f"{stem.lower()}.png").write_bytes(data)
        captions[f"{stem.lower()}.png"] = [names[code_of(stem)]]
    text = json.dumps(captions, ensure_ascii=False, indent=0, sort_keys=True)
    (folder / "captions.json").write_text(text + "\n", encoding="utf-8")
    log.info("%s: %d pictures", folder, len(files))


if __name__ == "__main__":
    main()
