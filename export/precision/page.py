"""The precision doctor's report as a page: every suspect's range beside the precision's, what is pinned, the
cost."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from pathlib import Path

from cnnrnn.core.storage import write_atomic
from cnnrnn.export.precision.findings import Diagnosis, Finding
from cnnrnn.export.precision.ranges import Range
from cnnrnn.export.precision.report import PrecisionReport, share_of
from cnnrnn.export.precision.rules import LARGEST, SMALLEST, SMALLEST_NORMAL, SPACING

# The axis of a range: powers of two from left to right, wide enough for what a trained network makes.
_LOW, _HIGH = -44.0, 44.0
_WIDTH = 352.0
_KINDS = {
    "overflow": "overflow",
    "underflow": "underflow",
    "cancellation": "cancellation",
    "coarse": "too coarse for softmax",
}


def write_page(
    target: Path, bundle: str, before: PrecisionReport, after: PrecisionReport, ranges: Sequence[Range]
) -> None:
    """Write the page in one piece.

    Args:
        target: the HTML file; one that is there is replaced.
        bundle: its name.
        before: the gate's report with nothing pinned.
        after: the last report, with the doctor's diagnosis.
        ranges: of every tensor.

    Raises:
        StorageError: the file cannot be written; what stood there stands there still.
    """
    write_atomic(target, _document(bundle, before, after, ranges).encode())


def _document(bundle: str, before: PrecisionReport, after: PrecisionReport, ranges: Sequence[Range]) -> str:
    diagnosis = after.diagnosis or Diagnosis((), {}, None, 0)
    precision = _text(after.precision)
    css = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>{precision} doctor: {_text(bundle)}</title>
<style>
{css}</style>
</head>
<body>
<p class="kicker">cnnrnn · bundle <b>{_text(bundle)}</b> · precision <b>{precision}</b></p>
<h1>{_headline(before, after, diagnosis)}</h1>
<p class="lead">The fp32 graphs captioned {after.pictures} pictures ({_text(after.source)}), greedily and with
beams, each word chosen from the words before it. Of every tensor the largest and smallest magnitude were
kept, over all steps, and beside them what {precision} would lose of it.</p>
{_gate(before, after)}
{_findings(diagnosis, after, ranges)}
{_pins(diagnosis)}
{_others(diagnosis, after, ranges)}
<footer>{_held(after.precision)} The dark band of each bar is where it has all its digits, the light one where
it has few.</footer>
</body>
</html>
"""


def _held(precision: str) -> str:
    smallest, normal, largest = SMALLEST[precision], SMALLEST_NORMAL[precision], LARGEST[precision]
    return (
        f"{precision} holds magnitudes from {_number(smallest)} to {_number(largest)}, all its digits from "
        f"{_number(normal)} on, and numbers that are apart by a share of {_number(SPACING[precision])}."
    )


def _headline(before: PrecisionReport, after: PrecisionReport, diagnosis: Diagnosis) -> str:
    if before.passed:
        return f"{_text(after.precision)} says what fp32 says: nothing had to be pinned"
    count = diagnosis.cost.pinned_nodes if diagnosis.cost else 0
    if after.passed:
        nodes = "1 node" if count == 1 else f"{count} nodes"
        return f"{_text(after.precision)} did not say what fp32 says; with {nodes} in float32 it does"
    return f"{_text(after.precision)} does not say what fp32 says, and no pins cure it"


def _gate(before: PrecisionReport, after: PrecisionReport) -> str:
    rows = []
    for title, report in (("nothing pinned", before), ("with the pins", after)):
        if report is after and (before.passed or not after.pinned):
            continue
        for judgement in report.runs.values():
            for search in judgement.searches:
                broken = _text(", ".join(entry.tensor for entry in judgement.not_finite))
                rows.append(
                    f"<tr><th scope='row'>{title}<small>{_text(judgement.how)}</small></th>"
                    f"<td>{search.beams}</td><td>{search.identical} of {search.pictures}</td>"
                    f"<td>{len(search.ties)}</td><td>{share_of(search):.2%}</td>"
                    f"<td>{broken or 'none'}</td><td>{_verdict(judgement.passed)}</td></tr>"
                )
    heads = ("", "beams", "captions as fp32", "ties", "without ties", "NaN or infinite", "gate")
    return _section("The gate", _table(heads, rows))


def _verdict(passed: bool) -> str:
    return '<b class="good">passed</b>' if passed else '<b class="bad">failed</b>'


def _findings(diagnosis: Diagnosis, report: PrecisionReport, ranges: Sequence[Range]) -> str:
    if not diagnosis.findings:
        words = "Every tensor is within range, and none loses more at its node than rounding does."
        return _section("Tensors that it cannot hold well", f"<p>{words}</p>")
    found = {(entry.graph, entry.tensor): entry for entry in ranges}
    rows = []
    for finding in diagnosis.findings:
        entry = found.get((finding.graph, finding.tensor))
        lowest, highest = (entry.smallest, entry.largest) if entry else (finding.smallest, finding.largest)
        rows.append(
            f"<tr>{_tensor(finding.graph, finding.tensor, finding.node)}<td>{_KINDS[finding.kind]}</td>"
            f"<td>{_bar(lowest, highest, report, bad=True)}</td>"
            f"<td>{_number(lowest)} to {_number(highest)}{_at(finding)}</td><td>{_limit(finding)}</td>"
            f"<td>{_pin(finding.graph, finding.node or finding.tensor, diagnosis)}</td></tr>"
        )
    heads = ("tensor", "what is wrong", "its range", "in numbers", "limit", "")
    return _section("Tensors that it cannot hold well", _table(heads, rows))


def _at(finding: Finding) -> str:
    return "" if finding.step is None else f"<small> largest at step {finding.step}</small>"


def _limit(finding: Finding) -> str:
    if finding.kind in ("overflow", "underflow"):
        return _number(finding.limit)
    if finding.kind == "coarse":
        return f"rounded by {_number(finding.lost)}; {_number(finding.limit)} is bearable"
    return f"{finding.lost:.1%} lost; {finding.limit:.1%} is noteworthy"


def _pins(diagnosis: Diagnosis) -> str:
    if diagnosis.cost is None:
        return ""
    rows = [
        f"<tr><th scope='row'>{_text(name)}</th><td>{_text(graph)}</td></tr>"
        for graph, names in diagnosis.pinned.items()
        for name in names
    ]
    spared = (
        "with any one of these left out, captions are lost again"
        if diagnosis.fewest
        else "whether fewer would do is not known"
    )
    tried = f"{diagnosis.trials} sets of pins were tried; {spared}"
    words = f"<p>What it costs: {_text(str(diagnosis.cost))}. {tried}.</p>"
    return _section("Kept in float32", _table(("node, memory or state", "graph"), rows) + words)


def _others(diagnosis: Diagnosis, report: PrecisionReport, ranges: Sequence[Range]) -> str:
    told = {(finding.graph, finding.tensor) for finding in diagnosis.findings}
    rows = [
        f"<tr>{_tensor(entry.graph, entry.tensor, entry.node)}"
        f"<td>{_bar(entry.smallest, entry.largest, report, bad=False)}</td>"
        f"<td>{_number(entry.smallest)} to {_number(entry.largest)}</td>"
        f"<td>{max(entry.rounding, entry.passing):.3%}</td>"
        f"<td>{_pin(entry.graph, entry.node or entry.tensor, diagnosis)}</td></tr>"
        for entry in ranges
        if (entry.graph, entry.tensor) not in told
    ]
    heads = ("tensor", "its range", "in numbers", "lost at its node", "")
    summary = f"<summary>{len(rows)} tensors that it can hold</summary>"
    return _section("The others", f"<details>{summary}{_table(heads, rows)}</details>")


def _tensor(graph: str, tensor: str, node: str) -> str:
    made = _text(node) or "an input of the graph"
    return f"<th scope='row'><b>{_text(tensor)}</b><small>{_text(graph)} · {made}</small></th>"


def _pin(graph: str, name: str, diagnosis: Diagnosis) -> str:
    pinned = name in diagnosis.pinned.get(graph, ())
    return '<span class="pinned">in float32</span>' if pinned else ""


def _bar(smallest: float, largest: float, report: PrecisionReport, *, bad: bool) -> str:
    """A tensor's range over the precision's, on an axis of powers of two."""
    held = (SMALLEST[report.precision], SMALLEST_NORMAL[report.precision], LARGEST[report.precision])
    edge, band, end = map(_place, held)
    left, right = _place(smallest or largest), _place(largest)
    kind, width = "bad" if bad else "reach", max(right - left, 3)
    told = f"from {_number(smallest)} to {_number(largest)}"
    return (
        f'<svg viewBox="0 0 {_WIDTH:g} 16" role="img" aria-label="{told}">'
        f'<rect class="edge" x="{edge:.1f}" width="{band - edge:.1f}" height="16"/>'
        f'<rect class="band" x="{band:.1f}" width="{end - band:.1f}" height="16"/>'
        f'<rect class="{kind}" x="{left:.1f}" y="5" width="{width:.1f}" height="6" rx="3"/></svg>'
    )


def _place(magnitude: float) -> float:
    power = math.log2(magnitude) if magnitude > 0 else _LOW
    return (min(max(power, _LOW), _HIGH) - _LOW) / (_HIGH - _LOW) * _WIDTH


def _section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>{content}</section>"


def _table(heads: Sequence[str], rows: Sequence[str]) -> str:
    head = "".join(f"<th scope='col'>{name}</th>" for name in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _number(value: float) -> str:
    return f"{value:.3g}"


def _text(value: str) -> str:
    return html.escape(value)
