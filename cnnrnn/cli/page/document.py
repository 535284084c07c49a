"""The page's HTML: one file with its style, script and pictures in it; and the demo's own page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cnnrnn.cli.page.card import Answered, card, escaped
from cnnrnn.core.manifest import Manifest
from cnnrnn.core.storage import write_atomic

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def write_page(
    target: Path, answered: Sequence[Answered], manifest: Manifest, about: Mapping[str, str]
) -> None:
    """Write the page in one piece.

    Args:
        target: the file to write; one that is there is replaced.
        answered: the pictures in the order to show them.
        manifest: of the bundle that answered; says how a picture was fitted, and names the bundle.
        about: lines of the page's foot, name to value.

    Raises:
        StorageError: the file cannot be written; what stood there stands there still.
    """
    write_atomic(target, _document(answered, manifest, about).encode())


def _document(answered: Sequence[Answered], manifest: Manifest, about: Mapping[str, str]) -> str:
    beams = max(len(item.result.hypotheses) for item in answered)
    total_ms = sum(item.result.timings_ms["total"] for item in answered)
    cards = "\n".join(card(index, item, manifest) for index, item in enumerate(answered))
    header = f"""<p class="kicker">cnnrnn · bundle <b>{escaped(manifest.name)}</b></p>
<h1>{len(answered)} pictures, put into words</h1>
<p class="lead">A CNN looked at each picture once; an RNN then wrote the caption word by word, keeping the
{beams} best beginnings at each step. All {len(answered)} took <b>{total_ms:.0f} ms</b> on this machine's
processor, without torch. Captions are ranked by their score, the log-probability divided by a power of the
length, so a long one may stand above a more probable short one. Choose a word to see where the decoder looked
when it wrote it.</p>"""
    return document(f"cnnrnn demo: {manifest.name}", header, cards, about)


def document(title: str, header: str, main: str, about: Mapping[str, str]) -> str:
    """A whole page.

    Args:
        title: plain text.
        header, main: HTML, in which every text from outside is escaped.
        about: lines of the page's foot, name to value, in plain text.
    """
    folder = Path(__file__).parent
    facts = "".join(
        f"<div><dt>{escaped(name)}</dt><dd>{escaped(value)}</dd></div>" for name, value in about.items()
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="color-scheme" content="light dark">
<title>{escaped(title)}</title>
<style>
{(folder / "page.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<header>
{header}
</header>
<main>
{main}
</main>
<footer><dl>{facts}</dl></footer>
<script>
{(folder / "page.js").read_text(encoding="utf-8")}</script>
</body>
</html>
"""
