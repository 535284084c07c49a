"""A card of the page: a picture with its caption, where the decoder looked, and what else it considered."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np

from cnnrnn.cli.page.heat import overlay, place
from cnnrnn.core.extras import require_cv2
from cnnrnn.core.manifest import Manifest
from cnnrnn.runtime.image import read_image
from cnnrnn.runtime.result import Hypothesis, Result

if TYPE_CHECKING:
    from cnnrnn.data.readers import PictureFile

STAGES = ("decode", "preprocess", "encoder", "step", "select", "backtrace")
BROWSER_TYPES = {".gif": "gif", ".jpeg": "jpeg", ".jpg": "jpeg", ".png": "png", ".webp": "webp"}
FITS = {"letterbox": "contain", "line": "contain", "stretch": "100% 100%", "crop": "cover"}


@dataclass(frozen=True)
class Answered:
    """One picture and the model's answer to it.

    Attributes:
        path: the picture's file, or its place in a shard.
        result: what the model said.
        references: what people wrote about it, where that is known.
        facts: short ones to stand beside the score, such as ``"CIDEr 1.204"``.
    """

    path: PictureFile
    result: Result
    references: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()


def card(index: int, item: Answered, manifest: Manifest) -> str:
    """The card's HTML; ``index`` is its own on the page, and ``manifest`` says how the picture was fitted."""
    result, image = item.result, manifest.image
    fill = "#{:02x}{:02x}{:02x}".format(*image.fill)
    style = (
        f"--picture:url({_picture(item.path)});--fit:{FITS[image.resize]};--fill:{fill};"
        f"--shape:{image.width}/{image.height}"
    )
    facts = "".join(f"<span>{escaped(fact)}</span>" for fact in item.facts)
    return f"""<article class="card" aria-labelledby="caption-{index}" style="{style}">
<div class="stage"><div class="picture" role="img" aria-label="{escaped(item.path.name)}"></div></div>
<div class="answer">
{_question(result)}<h2 id="caption-{index}">{escaped(result.text)}</h2>
<p class="meta"><span>{escaped(item.path.name)}</span><span>score {_number(result.score)}</span>\
<span>{result.timings_ms["total"]:.1f} ms</span>{facts}</p>
{_references(item.references)}{_words(result)}
{_hypotheses(result.hypotheses)}
{_timings(result.timings_ms)}
</div>
</article>"""


def _question(result: Result) -> str:
    return "" if result.question is None else f'<p class="question">{escaped(result.question)}</p>\n'


def _references(references: Sequence[str]) -> str:
    if not references:
        return ""
    items = "".join(f"<li>{escaped(text)}</li>" for text in references)
    return f'<h3>What people wrote</h3>\n<ul class="references">{items}</ul>\n'


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
            f'<li><button type="button" aria-pressed="false">{seen}<span class="word">{escaped(word)}</span>'
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
            f'<th scope="row">{escaped(hypothesis.text) or "<i>nothing</i>"}</th>'
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


def _picture(picture: PictureFile) -> str:
    """The picture, a study's first view, as a ``data:`` address; what a browser may not read becomes PNG."""
    kind = BROWSER_TYPES.get(PurePath(picture.name).suffix.lower())
    from cnnrnn.data.readers.sample import StudyFiles

    first = picture.paths[0] if isinstance(picture, StudyFiles) else picture
    data = first.read_bytes()
    if kind is None:
        cv2 = require_cv2()
        _, encoded = cv2.imencode(".png", read_image(data)[:, :, ::-1])
        kind, data = "png", encoded.tobytes()
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _number(value: float) -> str:
    """With a real minus sign, as a figure is set."""
    return f"{value:.3f}".replace("-", "−")


def _percent(probability: float) -> str:
    return f"{probability:.0%}" if probability >= 0.01 else "&lt; 1%"


def escaped(value: str) -> str:
    """A text as HTML has it, in an attribute too."""
    return html.escape(value, quote=True)
