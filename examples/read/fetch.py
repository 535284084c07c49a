"""Fetches fonts and words for pictures of lines, and keeps apart those that a reader is judged with.

    python examples/read/fetch.py data/lines

Both are in Debian packages, which ``apt-get download`` gets without installing them; ``--packages FOLDER``
takes those that are there. The fonts of a package are all for training or all for testing, and what is
derived from another design is on its side. Words are those of ispell's and Hunspell's lists, names Babel's.

Written are ``fonts/``, ``fonts.json`` (of each font its part, its family, its package and which characters of
the alphabet it draws), ``words.json`` (of each language its words) and ``licences/`` (each package's own).
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from alphabet import ALPHABET, LETTERS
from babel import Locale
from PIL import ImageFont

TRAIN = (
    "fonts-adf-gillius", "fonts-cantarell", "fonts-comfortaa", "fonts-comic-neue", "fonts-courier-prime",
    "fonts-crosextra-carlito", "fonts-dejavu-core", "fonts-dejavu-extra", "fonts-fantasque-sans",
    "fonts-firacode", "fonts-freefont-ttf", "fonts-hack", "fonts-inconsolata", "fonts-junicode", "fonts-lato",
    "fonts-liberation2", "fonts-linuxlibertine", "fonts-mononoki", "fonts-noto-core", "fonts-noto-mono",
    "fonts-open-sans", "fonts-oxygen", "fonts-play", "fonts-quicksand", "fonts-roboto-slab",
    "fonts-roboto-unhinted", "fonts-sil-andika", "fonts-sil-charis", "fonts-sil-gentium", "fonts-stix",
    "fonts-texgyre", "fonts-tuffy", "fonts-yanone-kaffeesatz",
)  # fmt: skip
TEST = (
    "fonts-cabin", "fonts-crosextra-caladea", "fonts-ebgaramond", "fonts-inter", "fonts-jetbrains-mono",
    "fonts-paratype", "fonts-sora", "fonts-vollkorn",
)  # fmt: skip
WORDS = {
    "de": "wngerman", "fr": "wfrench", "en": "wamerican", "it": "witalian", "es": "wspanish", "pl": "wpolish",
    "ro": "hunspell-ro", "nl": "wdutch", "hu": "hunspell-hu", "pt": "wportuguese",
}  # fmt: skip
MOST_WORDS = 60_000
"""Of a language: every so many-th of its list, since Polish alone has four million forms."""

# Not for running text: hairlines, small capitals, swashes, ornaments, mathematics, other scripts.
_LEFT_OUT = re.compile(
    r"Thin|Hairline|ExtraLight|Math|Integrals|NonUni|Symbols|LinLibertine_(DR|M|I?RZI?|aRL)|Biolinum_K|"
    r"Expanded|Initials|Alt-|texgyrechorus|PTM5|PTZ|NotoSans[A-LN-Z]|NotoSansM[^o]|NotoSerif[A-Z]|Slanted|"
    r"SizeOne|SizeTwo|SizeThree|SizeFour|SizeFive"
)
_LEAST = 0.9
"""The share of the alphabet that a font has to draw."""

log = logging.getLogger("read.fetch")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", type=Path, help="folder to write")
    parser.add_argument("--packages", type=Path, help="folder with the .deb files, where they are at hand")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        packages = options.packages or download(folder)
        parts = {"train": TRAIN, "test": TEST}
        fonts = [
            font
            for part, names in parts.items()
            for name in names
            for font in kept_fonts(part, unpacked(name, packages, folder, options.target), options.target)
        ]
        words = {
            language: kept_words(unpacked(name, packages, folder, options.target), language)
            for language, name in WORDS.items()
        }
    (options.target / "fonts.json").write_text(json.dumps(fonts, indent=0) + "\n", encoding="utf-8")
    text = json.dumps(words, ensure_ascii=False, indent=0)
    (options.target / "words.json").write_text(text + "\n", encoding="utf-8")
    for part in parts:
        own = [font for font in fonts if font["part"] == part]
        log.info("%s: %d fonts of %d families", part, len(own), len({font["family"] for font in own}))
    log.info("words: %s", {language: len(found) for language, found in words.items()})


def download(folder: Path) -> Path:
    """All packages' files, by apt."""
    names = [*TRAIN, *TEST, *WORDS.values()]
    subprocess.run(["apt-get", "download", "--quiet", *names], cwd=folder, check=True)
    return folder


def unpacked(name: str, packages: Path, scratch: Path, target: Path) -> Path:
    """The folder of a package's files; its licence is kept."""
    folder = scratch / "unpacked" / name
    archive = next(packages.resolve().glob(f"{name}_*.deb"))
    folder.mkdir(parents=True)
    subprocess.run(["dpkg-deb", "-x", str(archive), str(folder)], check=True)
    licence = folder / "usr/share/doc" / name / "copyright"
    if licence.is_file():
        (target / "licences").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(licence, target / "licences" / f"{name}.txt")
    return folder


def kept_fonts(part: str, package: Path, target: Path) -> Iterator[dict[str, str]]:
    """Copies the package's fonts for Latin text, each under its own name once."""
    (target / "fonts").mkdir(parents=True, exist_ok=True)
    seen: set[str] = set()
    for path in sorted(package.rglob("*.[to]tf")):
        if path.stem in seen or _LEFT_OUT.search(path.stem):
            continue
        seen.add(path.stem)
        family, characters = drawn_by(path)
        if len(characters) < _LEAST * len(ALPHABET):
            continue
        shutil.copyfile(path, target / "fonts" / path.name)
        yield {
            "file": path.name, "part": part, "family": family, "package": package.name,
            "characters": characters,
        }  # fmt: skip


def drawn_by(path: Path) -> tuple[str, str]:
    """The font's family, and the characters of the alphabet that it maps to a glyph which shows something."""
    from fontTools.ttLib import TTFont

    with TTFont(path, lazy=True) as font:
        mapped = font.getBestCmap() or {}
    drawn = ImageFont.truetype(str(path), 32)
    shows = (
        character
        for character in ALPHABET
        if ord(character) in mapped and (character == " " or drawn.getmask(character).getbbox())
    )
    return str(drawn.getname()[0]), "".join(shows)


def kept_words(package: Path, language: str) -> list[str]:
    """The language's words and names in the alphabet, two to sixteen letters, evenly over its list."""
    share = package / "usr/share"
    file = next(
        path for path in sorted((*share.glob("dict/*"), *share.glob("hunspell/*.dic"))) if path.is_file()
    )
    lines = file.read_text(encoding="utf-8").splitlines()
    plain = (line.split("/")[0].split("\t")[0].split()[:1] for line in lines)
    known = [word[0] for word in plain if word and usable(word[0])]
    locale = Locale(language)
    named = {name for table in (locale.territories, locale.languages) for name in table.values()}
    names = sorted({word for name in named for word in name.split() if usable(word)})
    return sorted({*known[:: -(-len(known) // MOST_WORDS)], *names})


def usable(word: str) -> bool:
    """Whether the word is letters that are known, with a hyphen or an apostrophe at most."""
    return (
        2 <= len(word) <= 16
        and set(word) <= {*LETTERS, "'", "-"}
        and word[0] in LETTERS
        and word[-1] in LETTERS
    )


if __name__ == "__main__":
    main()
