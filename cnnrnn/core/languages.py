"""Codes of languages as people write them, and the one of a bundle's that fits: BCP 47, without tables.

A code is matched by RFC 4647's lookup (section 3.4): ``de-AT`` finds ``de``. Where that finds nothing, a code
that begins a single one of those known is that one: ``pt`` finds ``pt-BR``, if there is no ``pt-PT`` beside.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from cnnrnn.core.errors import OptionsError

_CODE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,8}")


def canonical(code: str) -> str | None:
    """A code with ``-`` between its parts and the letters' usual case, such as ``zh-Hans`` and ``pt-BR``.

    Returns:
        None where it is no code of RFC 5646's form: whether there is such a language is not looked up.
    """
    plain = code.strip().replace("_", "-")
    if not _CODE.fullmatch(plain):
        return None
    first, *others = plain.lower().split("-")
    parts, after_single = [first], False
    for part in others:  # the conventions of RFC 5646, section 2.1.1
        if not after_single and len(part) == 2 and part.isalpha():
            part = part.upper()
        elif not after_single and len(part) == 4 and part.isalpha():
            part = part.title()
        after_single = len(part) == 1
        parts.append(part)
    return "-".join(parts)


def match(asked: str, known: Iterable[str]) -> str | None:
    """The one of ``known`` that is meant, as it is spelt there; None for none, or more than one."""
    code = canonical(asked)
    if code is None:
        return None
    spelt = {entry.lower(): entry for entry in known}
    parts = code.lower().split("-")
    while parts:
        if found := spelt.get("-".join(parts)):
            return found
        parts.pop()
        if parts and len(parts[-1]) == 1:  # what stands before a cut part and has no meaning without it
            parts.pop()
    begun = [entry for name, entry in spelt.items() if name.startswith(f"{code.lower()}-")]
    return begun[0] if len(begun) == 1 else None


def matched(asked: object, known: Iterable[str], bundle: str) -> str:
    """As `match`.

    Args:
        bundle: its name, for the message.

    Raises:
        OptionsError: naming what was asked for, and the languages that there are.
    """
    listed = list(known)
    if not listed:
        raise OptionsError(
            f"language={asked!r}: the bundle {bundle!r} has one language alone; leave the language out"
        )
    found = match(asked, listed) if isinstance(asked, str) else None
    if found is None:
        raise OptionsError(f"language={asked!r}: the bundle {bundle!r} has {', '.join(listed)}; give one")
    return found
