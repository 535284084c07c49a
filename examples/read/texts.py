"""Texts of lines: words and names of ten languages, numbers, dates, codes; none of the words for testing."""

from __future__ import annotations

import json
from pathlib import Path
from zlib import crc32

import numpy as np
from alphabet import ALPHABET

LONGEST = 20
"""Characters of a line."""

TEST_SHARE = 10
"""Of each language one word in so many, by a hash of the word, is for testing alone."""

Random = np.random.Generator

_ENDS = (".", ",", ":", ";", "!", "?")
_AROUND = (("(", ")"), ('"', '"'), ("«", "»"), ("„", "“"), ("“", "”"), ("'", "'"), ("¿", "?"), ("¡", "!"))
_CODE = "ABCDEFGHJKMNPQRSTUVWXYZ0123456789"  # without what is no other sign in many fonts: I, L, O
_UNITS = ("€", "$", "£", "%", "°", "°C", "kg", "km", "cm", "m", "l", "h", "min", "GB", "V")


class Texts:
    """Texts of one part.

    Args:
        folder: that `fetch.py` wrote.
        part: ``"train"`` or ``"test"``; no word of the one is a word of the other, whatever its case.
    """

    def __init__(self, folder: Path, part: str) -> None:
        words = json.loads((folder / "words.json").read_text(encoding="utf-8"))
        self.words = {
            language: [word for word in found if for_testing(word) == (part == "test")]
            for language, found in words.items()
        }
        self._languages = sorted(self.words)

    def __call__(self, random: Random) -> str:
        """One line, of 1 to `LONGEST` characters of the alphabet."""
        if random.random() < 0.75:
            return self._phrase(random)
        return _number(random) if random.random() < 0.7 else _code(random)

    def _phrase(self, random: Random) -> str:
        words = self.words[self._languages[int(random.integers(len(self._languages)))]]
        text = ""
        for _ in range(int(random.integers(1, 5))):
            word = _cased(words[int(random.integers(len(words)))], random)
            if text and len(text) + 1 + len(word) > LONGEST - 2:
                break
            text = f"{text} {word}" if text else word
        drawn = random.random()
        if drawn < 0.15:
            text += _ENDS[int(random.integers(len(_ENDS)))]
        elif drawn < 0.22:
            before, after = _AROUND[int(random.integers(len(_AROUND)))]
            text = before + text + after
        elif drawn < 0.26:
            text = f"{text} {'&/–+='[int(random.integers(5))]} {int(random.integers(10))}"
        return text[:LONGEST].strip()


def for_testing(word: str) -> bool:
    """Whether a word, in whatever case, is for testing alone."""
    return crc32(word.lower().encode()) % TEST_SHARE == 0


def _cased(word: str, random: Random) -> str:
    drawn = random.random()
    if drawn < 0.5:
        return word
    if drawn < 0.7:
        return word[0].upper() + word[1:]
    if drawn < 0.9:
        upper = word.upper()
        return upper if set(upper) <= set(ALPHABET) else word
    return word.lower()


def _number(random: Random) -> str:
    kind = int(random.integers(7))
    day, month, year = (
        int(random.integers(1, 32)),
        int(random.integers(1, 13)),
        int(random.integers(1900, 2100)),
    )
    if kind == 0:
        mark = "./-"[int(random.integers(3))]
        order = (f"{day:02}", f"{month:02}", str(year))
        return mark.join(order if mark != "-" else order[::-1])
    if kind == 1:
        return f"{int(random.integers(24)):02}:{int(random.integers(60)):02}"
    if kind == 2:
        return str(random.integers(10 ** int(random.integers(1, 10))))
    if kind == 3:
        point = ".,"[int(random.integers(2))]
        unit = _UNITS[int(random.integers(len(_UNITS)))]
        gap = " " * int(random.integers(2))
        return f"{int(random.integers(2000))}{point}{int(random.integers(100)):02}{gap}{unit}"
    if kind == 4:
        groups = random.integers(0, 1000, int(random.integers(2, 4)))
        return f"{'+' if random.random() < 0.3 else ''}{' '.join(f'{int(group):03}' for group in groups)}"
    if kind == 5:
        return f"{random.integers(1, 100)} {'+-=*/'[int(random.integers(5))]} {random.integers(1, 100)}"
    return f"{'€$£'[int(random.integers(3))]}{int(random.integers(1, 1000))}"


def _code(random: Random) -> str:
    letters = "".join(_CODE[place] for place in random.integers(0, len(_CODE), int(random.integers(3, 11))))
    drawn = random.random()
    if drawn < 0.3:
        cut = int(random.integers(1, len(letters)))
        return f"{letters[:cut]}-{letters[cut:]}"
    if drawn < 0.4:
        return f"#{letters}"
    if drawn < 0.55:
        return f"{letters[:6].lower()}@{letters[-3:].lower()}.{'eu' if random.random() < 0.5 else 'com'}"
    return letters.lower() if drawn < 0.7 else letters
