"""The page's HTML: a card for each picture with its caption, its n-best, and where the decoder looked."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnnrnn.cli.page.heat import overlay, place
from cnnrnn.core.extras import require_cv2
from cnnrnn.core.manifest import Manifest
from cnnrnn.core.storage import write_atomic
from cnnrnn.runtime.image import read_image
from cnnrnn.runtime.result import Hypothesis, Result

STAGES = ("decode", "preprocess", "encoder", "step", "select", "backtrace")
BROWSER_TYPES = {".gif": "gif", ".jpeg": "jpeg", ".jpg": "jpeg", ".png": "png", ".webp": "webp"}
FITS = {"letterbox": "contain", "stretch": "100% 100%", "crop": "cover"}
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


@dataclass(frozen=True)
class Answered:
    """One picture and the model's answer to it.

    Attributes:
        names: what the picture is called, where that is known.
    """

    path: Path
    result: Result
    names: tuple[str, ...] = ()

    @property
    def is_wrong(self) -> bool:
        """Whether the answer is none of the picture's names."""
        return bool(self.names) and self.result.text not in self.names


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
    folder = Path(__file__).parent
    beams = max(len(item.result.hypotheses) for item in answered)
    total_ms = sum(item.result.timings_ms["total"] for item in answered)
    cards = "\n".join(_card(index, item, manifest) for index, item in enumerate(answered))
    facts = "".join(
        f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in about.items()
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="color-scheme" content="light dark">
<title>cnnrnn demo: {_text(manifest.name)}</title>
<style>
{(folder / "page.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<header>
<p class="kicker">cnnrnn · bundle <b>{_text(manifest.name)}</b></p>
<h1>{len(answered)} pictures, put into words</h1>
<p class="lead">A CNN looked at each picture once; an RNN then wrote the caption word by word, keeping the
{beams} best beginnings at each step. All {len(answered)} took <b>{total_ms:.0f} ms</b> on this machine's
processor, without torch. Captions are ranked by their score, the log-probability divided by a power of the
length, so a long one may stand above a more probable short one. Choose a word to see where the decoder looked
when it wrote it.</p>
</header>
<main>
{cards}
</main>
<footer><dl>{facts}</dl></footer>
<script>
{(folder / "page.js").read_text(encoding="utf-8")}</script>
</body>
</html>
"""


def _card(index: int, item: Answered, manifest: Manifest) -> str:
    result, image = item.result, manifest.image
    fill = "#{:02x}{:02x}{:02x}".format(*image.fill)
    style = (
        f"--picture:url({_picture(item.path)});--fit:{FITS[image.resize]};--fill:{fill};"
        f"--shape:{image.width}/{image.height}"
    )
    called = f"<span>called {_text(', '.join(item.names))}</span>" if item.is_wrong else ""
    return f"""<article class="card" aria-labelledby="caption-{index}" style="{style}">
<div class="stage"><div class="picture" role="img" aria-label="{_text(item.path.name)}"></div></div>
<div class="answer">
<h2 id="caption-{index}">{_text(result.text)}</h2>
<p class="meta"><span>{_text(item.path.name)}</span><span>score {_number(result.score)}</span>\
<span>{result.timings_ms["total"]:.1f} ms</span>{called}</p>
{_words(result)}
{_hypotheses(result.hypotheses)}
{_timings(result.timings_ms)}
</div>
</article>"""


def _words(result: Result) -> str:
    """A button a word: its share of the attention over the picture, and how sure the decoder was."""
    best, grid = result.hypotheses[0], result.alignment_grid
    items = []
    for step, word in enumerate(best.words[:-1] if best.finished else best.words):
        probability = math.exp(min(float(best.token_logprobs[step]), 0.0))
        seen, said = "", ""
        if best.alignment is not None and grid is not None:
            weights = np.asarray(best.alignment[step])
            seen = f'<span class="thumb"><img src="{overlay(weights, grid)}" alt=""></span>'
            said = f'<span class="unseen">looked at the {place(weights, grid)}; </span>'
        items.append(
            f'<li><button type="button" aria-pressed="false">{seen}<span class="word">{_text(word)}</span>'
            f'{said}<span class="sure">{probability:.0%}<span class="unseen"> sure</span></span>'
            "</button></li>"
        )
    title = "Where it looked, and how sure it was" if grid is not None else "How sure it was"
    return f'<h3>{title}</h3>\n<ol class="words">{"".join(items)}</ol>'


def _hypotheses(hypotheses: Sequence[Hypothesis]) -> str:
    rows = []
    for rank, hypothesis in enumerate(hypotheses, 1):
        probability = math.exp(min(hypothesis.logprob, 0.0))
        rows.append(
            f'<tr><td class="rank">{rank}</td>'
            f'<th scope="row">{_text(hypothesis.text) or "<i>nothing</i>"}</th>'
            f'<td class="bar"><span style="width:{max(100 * probability, 0.5):.1f}%"></span></td>'
            f"<td>{_percent(probability)}</td><td>{_number(hypothesis.score)}</td></tr>"
        )
    return f"""<h3>What else it considered</h3>
<table class="hypotheses"><thead><tr><th scope="col"><span class="unseen">rank</span></th>
<th scope="col">caption</th><th scope="col" colspan="2">probability</th>
<th scope="col">score</th></tr></thead>
<tbody>{"".join(rows)}</tbody></table>"""


def _timings(timings_ms: Mapping[str, float]) -> str:
    shown = [(stage, timings_ms[stage]) for stage in STAGES if stage in timings_ms]
    whole = max(sum(value for _, value in shown), 1e-9)
    parts = "".join(
        f'<span class="{stage}" style="width:{100 * ms / whole:.2f}%"></span>' for stage, ms in shown
    )
    rows = "".join(f'<li><i class="{stage}"></i>{stage} <b>{ms:.1f}</b></li>' for stage, ms in shown)
    return f"""<h3>Milliseconds by stage</h3>
<div class="timeline" aria-hidden="true">{parts}</div>
<ul class="legend">{rows}</ul>"""


def _picture(path: Path) -> str:
    """The picture as a ``data:`` address; what a browser may not read is turned into PNG."""
    kind = BROWSER_TYPES.get(path.suffix.lower())
    if kind is None:
        cv2 = require_cv2()
        _, encoded = cv2.imencode(".png", read_image(path)[:, :, ::-1])
        kind, data = "png", encoded.tobytes()
    else:
        data = path.read_bytes()
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _number(value: float) -> str:
    """With a real minus sign, as a figure is set."""
    return f"{value:.3f}".replace("-", "−")


def _percent(probability: float) -> str:
    return f"{probability:.0%}" if probability >= 0.01 else "&lt; 1%"


def _text(value: str) -> str:
    return html.escape(value, quote=True)
