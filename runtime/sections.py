"""The sections of an answer, such as a report's findings and its impression."""

from __future__ import annotations

from collections.abc import Sequence


def split_sections(text: str, openings: Sequence[str]) -> dict[str, str] | None:
    """An answer's text, cut at the words that open its sections.

    Args:
        openings: of each section the word that opens it, such as ``"Findings:"``.

    Returns:
        By section, named as its opening without the colon and in lower case, its text. What precedes the
        first opening is under ``""``; a section that is opened twice has both texts. None without openings.
    """
    if not openings:
        return None
    names = {opening: opening.rstrip(":").strip().lower() for opening in openings}
    found: dict[str, list[str]] = {}
    current = ""
    for word in text.split():
        if word in names:
            current = names[word]
            found.setdefault(current, [])
        else:
            found.setdefault(current, []).append(word)
    return {name: " ".join(words) for name, words in found.items()}
