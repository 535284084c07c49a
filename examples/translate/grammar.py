"""Patterns of phrases: each gives the same in English and in five languages, with a word that it turns on.

Dates, weekdays, units, spans of time, prices and names are CLDR's, by Babel; numbers in words num2words'.
What is around them is written here, and agrees by `agreement.py`.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import agreement as of
import numpy as np
from babel import Locale, dates, numbers, units
from lexicon import (
    ADJECTIVES,
    CURRENCIES,
    DRINKS,
    GOODS,
    LANGUAGES,
    OPENING,
    PLACES,
    PRICED,
    TERRITORIES,
    TONGUES,
    VEHICLES,
    Noun,
)
from num2words import num2words

Random = np.random.Generator
ENGLISH = "en_GB"
_LOCALES = ("en", *LANGUAGES)


@dataclass(frozen=True)
class Phrase:
    """What one pattern says in six languages.

    Attributes:
        pattern: its name.
        word: the word that it was made with, in English; (pattern, word) is a combination.
        texts: by language, ``en`` among them.
    """

    pattern: str
    word: str
    texts: Mapping[str, str]


Made = tuple[str, dict[str, str]]


def phrase(random: Random, names: Mapping[str, Mapping[str, str]]) -> Phrase:
    """Draws a pattern and its words.

    Args:
        names: of things, English to the other languages, as `fetch.py` writes them.
    """
    pattern = PATTERNS[int(random.choice(len(PATTERNS), p=_SHARES))]
    word, texts = pattern.make(random, names)
    return Phrase(pattern.name, word, {language: _spoken(text) for language, text in texts.items()})


def _spoken(text: str) -> str:
    """With plain spaces and apostrophes, and a capital at the beginning."""
    text = re.sub(r"\s+", " ", text.replace("’", "'").replace("\u2011", "-")).strip()
    first = 1 if text[0] in "¿¡" else 0
    return text[:first] + text[first].upper() + text[first + 1 :]


def _one(choices: Any, random: Random) -> Any:
    return choices[int(random.integers(len(choices)))]


def _locale(language: str) -> str:
    return ENGLISH if language == "en" else language


def _each(make: Callable[[str], str]) -> dict[str, str]:
    """By language what a function of its locale gives."""
    return {language: make(_locale(language)) for language in _LOCALES}


def _date(random: Random, _: Any) -> Made:
    day = datetime.date(1950, 1, 1) + datetime.timedelta(days=int(random.integers(36500)))
    style = _one(("long", "full", "d MMMM"), random)
    if style == "d MMMM":
        texts = _each(lambda locale: dates.format_skeleton("MMMMd", day, locale=locale))
    else:
        texts = _each(lambda locale: dates.format_date(day, style, locale=locale))
    return f"{style} {day:%B}", texts


def _clock(random: Random, first: int = 6, last: int = 23) -> tuple[str, dict[str, str]]:
    """A time of the day from six on, when all hours are plural in Italian and Spanish."""
    hour, minute = int(random.integers(first, last + 1)), int(random.integers(12)) * 5
    return f"{hour}", {
        "en": f"{hour}:{minute:02}", "de": f"{hour}:{minute:02} Uhr", "fr": f"{hour}h{minute:02}",
        "es": f"{hour}:{minute:02}", "it": f"{hour}:{minute:02}", "nl": f"{hour}.{minute:02} uur",
    }  # fmt: skip


def _hours(random: Random, _: Any) -> Made:
    (first, start), (_, end) = _clock(random, 6, 13), _clock(random, 14, 23)
    return first, {
        "en": f"open from {start['en']} to {end['en']}",
        "de": f"geöffnet von {start['de'].removesuffix(' Uhr')} bis {end['de']}",
        "fr": f"ouvert de {start['fr']} à {end['fr']}",
        "es": f"abierto de {start['es']} a {end['es']}",
        "it": f"aperto dalle {start['it']} alle {end['it']}",
        "nl": f"open van {start['nl'].removesuffix(' uur')} tot {end['nl']}",
    }


def _weekday(number: int) -> dict[str, str]:
    return {language: dates.get_day_names("wide", locale=language)[number] for language in _LOCALES}


def _days(random: Random, _: Any) -> Made:
    first, last = sorted(random.choice(7, 2, replace=False).tolist())
    start, end = _weekday(first), _weekday(last)
    return f"{start['en']} {end['en']}", {
        "en": f"{start['en']} to {end['en']}",
        "de": f"{start['de']} bis {end['de']}",
        "fr": f"du {start['fr']} au {end['fr']}",
        "es": f"de {start['es']} a {end['es']}",
        "it": f"{of.italian_day(start['it'], 'da')} {of.italian_day(end['it'], 'a')}",
        "nl": f"{start['nl']} tot en met {end['nl']}",
    }


def _closed(random: Random, _: Any) -> Made:
    day, place = _weekday(int(random.integers(7))), _one(OPENING, random)
    return f"{day['en']} {place.en}", {
        "en": f"{place.en} closed on {day['en']}s",
        "de": f"{place.de[1]} {day['de'].lower()}s geschlossen",
        "fr": f"{place.fr[1]} {'fermé' if place.fr[0] == 'm' else 'fermée'} le {day['fr']}",
        "es": f"{place.es[1]} {'cerrado' if place.es[0] == 'm' else 'cerrada'} {of.spanish_days(day['es'])}",
        "it": f"{place.it[1]} {'chiuso' if place.it[0] == 'm' else 'chiusa'} {of.italian_day(day['it'])}",
        "nl": f"{place.nl[1]} op {day['nl']} gesloten",
    }


def _opens(random: Random, _: Any) -> Made:
    place, (_, at) = _one(OPENING, random), _clock(random)
    return place.en, {
        "en": f"the {place.en} opens at {at['en']}",
        "de": f"{of.german(place, 'nominative')} öffnet um {at['de']}",
        "fr": f"{of.french(place)} ouvre à {at['fr']}",
        "es": f"{of.spanish(place)} abre a las {at['es']}",
        "it": f"{of.italian(place)} apre alle {at['it']}",
        "nl": f"{of.dutch(place)} opent om {at['nl']}",
    }


def _leaves(random: Random, _: Any) -> Made:
    vehicle = _one(VEHICLES, random)
    if random.random() < 0.5:
        said, at = _clock(random)
        when = {
            "en": f"at {at['en']}", "de": f"um {at['de']}", "fr": f"à {at['fr']}", "es": f"a las {at['es']}",
            "it": f"alle {at['it']}", "nl": f"om {at['nl']}",
        }  # fmt: skip
    else:
        said, when = _span(random, future=True)
    return f"{vehicle.en} {said}", {
        "en": f"the {vehicle.en} leaves {when['en']}",
        "de": f"{of.german(vehicle, 'nominative')} fährt {when['de']} ab",
        "fr": f"{of.french(vehicle)} part {when['fr']}",
        "es": f"{of.spanish(vehicle)} sale {when['es']}",
        "it": f"{of.italian(vehicle)} parte {when['it']}",
        "nl": f"{of.dutch(vehicle)} vertrekt {when['nl']}",
    }


def _span(random: Random, *, future: bool) -> Made:
    unit, most = _one((("minute", 59), ("hour", 23), ("day", 6), ("week", 4)), random)
    count = int(random.integers(2, most + 1))
    span = datetime.timedelta(**{f"{unit}s": count}) * (1 if future else -1)
    return unit, _each(
        lambda locale: dates.format_timedelta(
            span, granularity=unit, threshold=1000, add_direction=True, locale=locale
        )
    )


def _ago(random: Random, _: Any) -> Made:
    return _span(random, future=False)


def _quantity(random: Random, _: Any) -> Made:
    if random.random() < 0.6:
        goods, unit = _one(GOODS, random), _one(("mass-kilogram", "mass-gram"), random)
    else:
        goods, unit = _one(DRINKS, random), "volume-liter"
    count = int(random.integers(1, 10)) * (50 if unit == "mass-gram" else 1)
    measure = _each(lambda locale: units.format_unit(count, unit, "long", locale=locale))
    return f"{unit} {goods.en}", {
        "en": f"{measure['en']} of {goods.en}",
        "de": f"{measure['de']} {goods.de[1]}",
        "fr": f"{measure['fr']} {of.french_of(goods)}",
        "es": f"{measure['es']} de {goods.es[1]}",
        "it": f"{measure['it']} di {goods.it[1]}",
        "nl": f"{measure['nl']} {goods.nl[1]}",
    }


def _distance(random: Random, _: Any) -> Made:
    place, unit = _one(PLACES, random), _one(("length-meter", "length-kilometer"), random)
    count = int(random.integers(2, 20)) * (50 if unit == "length-meter" else 1)
    far = _each(lambda locale: units.format_unit(count, unit, "long", locale=locale))
    return f"{unit} {place.en}", {
        "en": f"{place.en}: {far['en']}", "de": f"{place.de[1]}: {far['de']}",
        "fr": f"{place.fr[1]} : {far['fr']}", "es": f"{place.es[1]}: {far['es']}",
        "it": f"{place.it[1]}: {far['it']}", "nl": f"{place.nl[1]}: {far['nl']}",
    }  # fmt: skip


def _labelled(label: Noun, texts: Mapping[str, str]) -> dict[str, str]:
    return {
        "en": f"{label.en}: {texts['en']}", "de": f"{label.de[1]}: {texts['de']}",
        "fr": f"{label.fr[1]} : {texts['fr']}", "es": f"{label.es[1]}: {texts['es']}",
        "it": f"{label.it[1]}: {texts['it']}", "nl": f"{label.nl[1]}: {texts['nl']}",
    }  # fmt: skip


def _price(random: Random, _: Any) -> Made:
    item, cents = _one(PRICED, random), int(random.integers(10, 2000)) * 5
    currency = _one(("EUR", "CHF", "GBP"), random)
    price = _each(lambda locale: numbers.format_currency(cents / 100, currency, locale=locale))
    return f"{currency} {item.en}", _labelled(item, price)


def _amount(random: Random, _: Any) -> Made:
    currency, count = _one(CURRENCIES, random), int(random.integers(2, 1000))
    return currency, _each(
        lambda locale: numbers.format_currency(
            count, currency, format="#,##0", locale=locale, format_type="name", currency_digits=False
        )
    )


def _number(random: Random, _: Any) -> Made:
    count = int(random.integers(0, 1000))
    return str(count // 100), {language: num2words(count, lang=language) for language in _LOCALES}


_COUNTRY = Noun("country", ("n", "Land"), ("m", "pays"), ("m", "país"), ("m", "paese"), ("het", "land"))
_TONGUE = Noun(
    "language", ("f", "Sprache"), ("f", "langue"), ("m", "idioma"), ("f", "lingua"), ("de", "taal")
)
_COIN = Noun(
    "currency", ("f", "Währung"), ("f", "monnaie"), ("f", "moneda"), ("f", "valuta"), ("de", "valuta")
)
_PICTURE = Noun(
    "picture", ("n", "Bild"), ("f", "image"), ("f", "imagen"), ("f", "immagine"), ("de", "afbeelding")
)
_COURSE = Noun("course", ("m", "Kurs"), ("m", "cours"), ("m", "curso"), ("m", "corso"), ("de", "cursus"))
_GOAL = Noun(
    "destination",
    ("n", "Ziel"),
    ("f", "destination"),
    ("m", "destino"),
    ("f", "destinazione"),
    ("de", "bestemming"),
)
_WORD = Noun("word", ("n", "Wort"), ("m", "mot"), ("f", "palabra"), ("f", "parola"), ("het", "woord"))


def _named(texts: dict[str, str], labels: tuple[Noun | None, ...], random: Random) -> Made:
    label = _one(labels, random)
    if label is None:
        return texts["en"], texts
    return f"{label.en} {texts['en']}", _labelled(label, texts)


def _territory(random: Random, _: Any) -> Made:
    code = _one(TERRITORIES, random)
    texts = _each(lambda locale: Locale.parse(locale).territories[code])
    return _named(texts, (None, _COUNTRY, _GOAL), random)


def _tongue(random: Random, _: Any) -> Made:
    code = _one(TONGUES, random)
    texts = _each(lambda locale: Locale.parse(locale).languages[code])
    return _named(texts, (None, _TONGUE, _COURSE), random)


def _currency(random: Random, _: Any) -> Made:
    code = _one(CURRENCIES, random)
    texts = _each(lambda locale: numbers.get_currency_name(code, locale=locale))
    return _named(texts, (None, _COIN), random)


def _thing(random: Random, names: Mapping[str, Mapping[str, str]]) -> Made:
    english = _one(sorted(names), random)
    return _named({"en": english, **names[english]}, (None, _PICTURE, _WORD), random)


def _is(random: Random, _: Any) -> Made:
    place, said = _one(PLACES, random), _one(ADJECTIVES, random)
    spanish, *ending = said.es
    return f"{place.en} {said.en}", {
        "en": f"the {place.en} is {said.en}",
        "de": f"{of.german(place, 'nominative')} ist {said.de}",
        "fr": f"{of.french(place)} est {said.fr[place.fr[0] == 'f']}",
        "es": f"{of.spanish(place)} {spanish} {ending[place.es[0] == 'f']}",
        "it": f"{of.italian(place)} è {said.it[place.it[0] == 'f']}",
        "nl": f"{of.dutch(place)} is {said.nl}",
    }


def _where(random: Random, _: Any) -> Made:
    place = _one(PLACES, random)
    italian = of.italian(place)
    return place.en, {
        "en": f"where is the {place.en}?", "de": f"wo ist {of.german(place, 'nominative')}?",
        "fr": f"où est {of.french(place)} ?", "es": f"¿dónde está {of.spanish(place)}?",
        "it": f"dov'è {italian}?", "nl": f"waar is {of.dutch(place)}?",
    }  # fmt: skip


def _seek(random: Random, _: Any) -> Made:
    place = _one(PLACES, random)
    return place.en, {
        "en": f"we are looking for the {place.en}", "de": f"wir suchen {of.german(place, 'accusative')}",
        "fr": f"nous cherchons {of.french(place)}", "es": f"buscamos {of.spanish(place)}",
        "it": f"cerchiamo {of.italian(place)}", "nl": f"we zoeken {of.dutch(place)}",
    }  # fmt: skip


def _to(random: Random, _: Any) -> Made:
    place = _one(PLACES, random)
    german = f"{'zur' if place.de[0] == 'f' else 'zum'} {place.de[1]}"
    return place.en, {
        "en": f"to the {place.en}", "de": german, "fr": of.french(place, "vers"),
        "es": of.spanish(place, "hacia"), "it": of.italian(place, "verso"), "nl": f"naar {of.dutch(place)}",
    }  # fmt: skip


def _beside(random: Random, _: Any) -> Made:
    place = _one(PLACES, random)
    english, german, french, spanish, italian, dutch = _one(
        (
            ("next to", "neben", "à côté de", "al lado de", "accanto a", "naast"),
            ("behind", "hinter", "derrière", "detrás de", "dietro", "achter"),
            ("in front of", "vor", "devant", "delante de", "davanti a", "voor"),
        ),
        random,
    )
    return f"{english} {place.en}", {
        "en": f"{english} the {place.en}", "de": f"{german} {of.german(place, 'dative')}",
        "fr": of.french(place, french), "es": of.spanish(place, spanish),
        "it": of.italian(place, italian), "nl": f"{dutch} {of.dutch(place)}",
    }  # fmt: skip


@dataclass(frozen=True)
class Pattern:
    """A pattern, and how often it is drawn beside the others."""

    name: str
    make: Callable[[Random, Mapping[str, Mapping[str, str]]], Made]
    weight: float


PATTERNS = (
    Pattern("date", _date, 2), Pattern("hours", _hours, 1), Pattern("days", _days, 0.7),
    Pattern("closed", _closed, 1.5), Pattern("opens", _opens, 1), Pattern("leaves", _leaves, 1.2),
    Pattern("ago", _ago, 0.7), Pattern("quantity", _quantity, 1.5), Pattern("distance", _distance, 1.5),
    Pattern("price", _price, 1.5), Pattern("amount", _amount, 1), Pattern("number", _number, 1.5),
    Pattern("territory", _territory, 2), Pattern("tongue", _tongue, 1.2), Pattern("currency", _currency, 0.7),
    Pattern("thing", _thing, 3), Pattern("is", _is, 2.5), Pattern("where", _where, 1),
    Pattern("seek", _seek, 1), Pattern("to", _to, 0.8), Pattern("beside", _beside, 1.5),
)  # fmt: skip
_SHARES = [pattern.weight / sum(each.weight for each in PATTERNS) for pattern in PATTERNS]
