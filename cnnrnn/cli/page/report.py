"""The page of an evaluation: its scores, and the best, the worst and some other pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cnnrnn.cli.page.card import Answered, card, escaped
from cnnrnn.cli.page.document import document
from cnnrnn.core.manifest import Manifest
from cnnrnn.core.storage import write_atomic


def write_report(
    target: Path,
    groups: Mapping[str, Sequence[Answered]],
    rows: Sequence[Sequence[str]],
    manifest: Manifest,
    about: Mapping[str, str],
) -> None:
    """Write the page in one piece.

    Args:
        target: the file to write; one that is there is replaced.
        groups: heading to the pictures below it, in the order to show them.
        rows: the table of scores, its head first, each row of as many cells, the first one its name.
        manifest: of the bundle that answered.
        about: lines of the page's foot, name to value; ``"ranked by"`` among them.

    Raises:
        StorageError: the file cannot be written; what stood there stands there still.
    """
    shown = sum(map(len, groups.values()))
    header = f"""<p class="kicker">cnnrnn · bundle <b>{escaped(manifest.name)}</b></p>
<h1>{shown} of its answers, beside what people wrote</h1>
{_scores(rows)}
<p class="lead">Pictures are ranked by {escaped(about["ranked by"])}. Choose a word to see where the
decoder looked when it wrote it.</p>"""
    parts, index = [], 0
    for heading, answered in groups.items():
        if answered:
            parts.append(f'<h2 class="group">{escaped(heading)}</h2>')
        for item in answered:
            parts.append(card(index, item, manifest))
            index += 1
    page = document(f"cnnrnn eval: {manifest.name}", header, "\n".join(parts), about)
    write_atomic(target, page.encode())


def _scores(rows: Sequence[Sequence[str]]) -> str:
    head, *others = rows
    titles = "".join(f'<th scope="col">{escaped(cell)}</th>' for cell in head)
    lines = "".join(
        f'<tr><th scope="row">{escaped(name)}</th>'
        + "".join(f"<td>{escaped(cell)}</td>" for cell in cells)
        + "</tr>"
        for name, *cells in others
    )
    return f'<table class="scores"><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table>'
