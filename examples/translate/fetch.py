"""Fetches names of things in six languages, CLDR's annotations of emoji, by npm.

    python examples/translate/fetch.py data/translate

They are in the package ``cldr-annotations-full`` (Unicode licence). Kept are names of at most 18 letters of
the alphabet in each language that no other thing has in one of them, and of those an even choice. Written is
``names.json``: the English name to those of the other languages.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from pathlib import Path
from zlib import crc32

from lexicon import LANGUAGES

sys.path.append(str(Path(__file__).resolve().parents[1] / "read"))
from alphabet import LETTERS

PACKAGE = "cldr-annotations-full"
LONGEST = 18
MOST = 240


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", type=Path, help="folder to write")
    parser.add_argument("--package", type=Path, help="the package's .tgz file, where it is at hand")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        package = options.package or download(Path(scratch))
        names = chosen({language: annotations(package, language) for language in ("en", *LANGUAGES)})
    options.target.mkdir(parents=True, exist_ok=True)
    text = json.dumps(names, ensure_ascii=False, indent=0)
    (options.target / "names.json").write_text(text + "\n", encoding="utf-8")
    print(f"{options.target / 'names.json'}: {len(names)} names")


def download(folder: Path) -> Path:
    """The package's file, by npm."""
    command = ["npm", "pack", "--silent", "--pack-destination", str(folder), PACKAGE]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return next(folder.glob(f"{PACKAGE}-*.tgz"))


def annotations(package: Path, language: str) -> dict[str, str]:
    """Each emoji's short name."""
    with tarfile.open(package) as archive:
        file = archive.extractfile(f"package/annotations/{language}/annotations.json")
        assert file is not None
        found = json.load(file)["annotations"]["annotations"]
    return {emoji: entry["tts"][0] for emoji, entry in found.items() if entry.get("tts")}


def chosen(by_language: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """English names with the others', those that are kept."""
    shared = set.intersection(*map(set, by_language.values()))
    counts = {language: Counter(names.values()) for language, names in by_language.items()}
    kept = [
        {language: names[emoji] for language, names in by_language.items()}
        for emoji in sorted(shared)
        if all(
            len(names[emoji]) <= LONGEST
            and set(names[emoji]) <= {*LETTERS, " ", "-"}
            and counts[language][names[emoji]] == 1
            for language, names in by_language.items()
        )
    ]
    kept.sort(key=lambda names: crc32(names["en"].encode()))
    return {names.pop("en"): names for names in kept[:MOST]}


if __name__ == "__main__":
    main()
