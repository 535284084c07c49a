"""The characters that `read` and `crnn` know: Latin letters of ten European languages, digits and signs.

The ten with the most speakers in Europe of those that are written in Latin letters: German, French, English,
Italian, Spanish, Polish, Romanian, Dutch, Hungarian and Portuguese.
"""

from __future__ import annotations

import string

ACCENTS = {
    "de": "äöüßÄÖÜ",
    "fr": "àâæçéèêëîïôœùûüÿÀÂÇÉÈÊËÎÏÔŒÙÛÜ",
    "en": "",
    "it": "àèéìòùÀÈÉÌÒÙ",
    "es": "áéíñóúüÁÉÍÑÓÚÜ",
    "pl": "ąćęłńóśźżĄĆĘŁŃÓŚŹŻ",
    "ro": "ăâîșțĂÂÎȘȚ",
    "nl": "áéèëïóöüÉË",
    "hu": "áéíóöőúüűÁÉÍÓÖŐÚÜŰ",
    "pt": "áâãàçéêíóôõúÁÂÃÀÇÉÊÍÓÔÕÚ",
}
"""Of each language its letters beside A to Z."""

SIGNS = ".,;:!?'\"()-–/&%€$£+=@#°*«»„“”’¿¡"

LETTERS = string.ascii_letters + "".join(sorted(set("".join(ACCENTS.values()))))
ALPHABET = " " + string.digits + LETTERS + SIGNS
