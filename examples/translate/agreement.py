"""Articles, and what they become after prepositions, in five languages."""

from __future__ import annotations

from lexicon import Noun

_VOWELS = tuple("aeiouhéèêâôAEIOUHÉ")  # the h of these nouns is mute


def german(noun: Noun, case: str) -> str:
    """With the definite article, in the ``nominative``, ``accusative`` or ``dative`` singular."""
    gender, word = noun.de
    article = {
        "nominative": {"m": "der", "f": "die", "n": "das"},
        "accusative": {"m": "den", "f": "die", "n": "das"},
        "dative": {"m": "dem", "f": "der", "n": "dem"},
    }[case][gender]
    return f"{article} {word}"


def french(noun: Noun, preposition: str = "") -> str:
    """With the definite article; ``de`` is joined with it."""
    gender, word = noun.fr
    if word.startswith(_VOWELS):
        return f"{preposition} l'{word}".strip()
    if preposition.endswith("de") and gender == "m":
        return f"{preposition[:-2]}du {word}".strip()
    return f"{preposition} {'le' if gender == 'm' else 'la'} {word}".strip()


def french_of(noun: Noun) -> str:
    """After a measure: ``de`` without an article."""
    word = noun.fr[1]
    return f"d'{word}" if word.startswith(_VOWELS) else f"de {word}"


def spanish(noun: Noun, preposition: str = "") -> str:
    """With the definite article; ``de`` is joined with ``el``."""
    gender, word = noun.es
    if preposition.endswith("de") and gender == "m":
        return f"{preposition}l {word}"
    return f"{preposition} {'el' if gender == 'm' else 'la'} {word}".strip()


def italian(noun: Noun, preposition: str = "") -> str:
    """With the definite article; ``a`` is joined with it."""
    gender, word = noun.it
    if word.startswith(_VOWELS):
        article = "l'"
    elif gender == "f":
        article = "la "
    else:
        impure = word[0] == "z" or (word[0] == "s" and word[1] not in "aeiou")
        article = "lo " if impure else "il "
    if preposition.endswith(" a"):
        joined = {"l'": "all'", "la ": "alla ", "lo ": "allo ", "il ": "al "}[article]
        return f"{preposition[:-1]}{joined}{word}"
    return f"{preposition} {article}{word}".strip()


def dutch(noun: Noun) -> str:
    """With the definite article."""
    return " ".join(noun.nl)


def italian_day(day: str, preposition: str = "") -> str:
    """A weekday with its article, joined with ``da`` or ``a``: all are masculine but Sunday."""
    feminine = day == "domenica"
    article = {"": ("il", "la"), "da": ("dal", "dalla"), "a": ("al", "alla")}[preposition][feminine]
    return f"{article} {day}"


def spanish_days(day: str) -> str:
    """On that day of every week."""
    return f"los {day}" if day.endswith("s") else f"los {day}s"
