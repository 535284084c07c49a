"""The page of the documents: two tables, and in a remark what an edge device should not take."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from benchmarks.models.entries import DECODER, ENCODER, REFERENCE
from benchmarks.models.measure import Row

SLOW = 10.0
HALF = 0.5
TWICE = 2.0
PLAIN = "LSTM"

HEAD = """# Encoders and decoders

What was trained, exported, lowered to fp16, compiled and timed, by one command:

```
python -m benchmarks.models --json {file} --markdown docs/models.md
```

All of torchvision's other CNNs can be named as an encoder too; these are those that the field uses. A key of
[`[model]`](training.md#model) chooses each part.

- **trained**: a step of the whole network gave every parameter a finite gradient and lowered the loss; the
  output layer was then fitted to the captions of {pictures} pictures, so that these differ.
- **parity**: the fp32 graphs on ONNX Runtime say what torch says, by the parity gate over these pictures.
  Random weights may amplify roundings beyond its tolerances; then others were tried, as the remark says.
- **fp16**: the fp16 graphs say what fp32's say, by the precision gate, without the doctor.
- **engine**: TensorRT-RTX compiled encoder, step and search: of fp16, or of fp32 where fp16 did not pass.
- **ms**: the fastest of {repetitions} runs of the fp32 graphs on ONNX Runtime {onnxruntime}, {cores} cores
  ({processor}) on which others were at work too; one image of {pixels} × {pixels} pixels, {beams} beams,
  V {vocabulary:,}, H {hidden}. Weights are random: they cost the same.
- **MB**: the bundle with its fp32 graphs, 10^6 bytes.
- **top-1** is ImageNet's, as torchvision publishes it of the weights that `pretrained = true` takes.
"""

ENCODER_RULE = """
## Encoders

P positions of size D, under an LSTM with additive attention; parameters are the encoder's. An encoder is not
worth it on an edge device, and its remark says why, where it takes more than {slow:g} times the milliseconds
of `{reference}`, or where another one of the table is more accurate in less than half its time.
"""

DECODER_RULE = """
## Decoders

Over `{reference}`; parameters are all that comes after it, D is what the decoder meets. Think twice on an
edge device about those with a remark: their step takes more than twice the plain LSTM's.
"""

ROUGH = """
How rough milliseconds are, the encoder's show here: rows without a position encoder have one and the same,
and it took {least:.0f} to {most:.0f}.
"""


def page(rows: Sequence[Row], setting: dict[str, Any], file: str) -> str:
    """The Markdown of these rows.

    Args:
        setting: what the JSON has under that name.
        file: the JSON's path, as the command names it.
    """
    encoders = [row for row in rows if row.kind == ENCODER]
    decoders = [row for row in rows if row.kind == DECODER]
    parts = [HEAD.format(file=file, **setting)]
    if encoders:
        parts += [ENCODER_RULE.format(slow=SLOW, reference=REFERENCE), _table(encoders, _of_encoder)]
    if decoders:
        parts += [DECODER_RULE.format(reference=REFERENCE), *_rough(decoders), _table(decoders, _of_decoder)]
    return "\n".join(parts)


def _rough(decoders: Sequence[Row]) -> list[str]:
    """How far the times of the one encoder lie apart."""
    taken = [row.encoder_ms for row in decoders if row.encoder_ms and "position_encoder" not in row.name]
    return [ROUGH.format(least=min(taken), most=max(taken))] if len(taken) > 1 else []


def _table(rows: Sequence[Row], remark: Any) -> str:
    ranked = rows[0].kind == ENCODER
    heads = [
        "",
        "million parameters",
        "P",
        "D",
        "trained",
        "parity",
        "fp16",
        "engine",
        "encoder ms",
        "step ms",
    ]
    heads += ["MB", *["top-1 %"] * ranked, "remark"]
    lines = [heads, ["---"] + ["---:"] * 3 + ["---"] * 4 + ["---:"] * (3 + ranked) + ["---"]]
    for row in rows:
        cells = [f"`{row.name}`" if ranked else row.name, f"{row.parameters / 1e6:.2f}"]
        cells += [str(row.positions), str(row.features)]
        cells += [_said(passed) for passed in (row.trained, row.parity, row.fp16, row.compiled)]
        cells += [_number(row.encoder_ms, 1), _number(row.step_ms, 2), _number(row.bundle_mb, 1)]
        lines.append([*cells, *[_number(row.accuracy, 1)] * ranked, remark(row, rows)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _of_encoder(row: Row, rows: Sequence[Row]) -> str:
    found = _of_any(row)
    reference = next((other.encoder_ms for other in rows if other.name == REFERENCE), None)
    if row.encoder_ms is not None and reference is not None and row.encoder_ms > SLOW * reference:
        found.append(f"{row.encoder_ms / reference:.0f} × `{REFERENCE}`")
    better = _better(row, rows)
    if better is not None:
        found.append(f"`{better.name}` is more accurate in less than half the time")
    return "; ".join(found)


def _of_any(row: Row) -> list[str]:
    said = re.sub(r"nothing was written to \S+: ", "", row.failure)  # a folder that is no more
    found = [said] if said else []
    return [*found, f"random weights number {row.seeds}"] if row.seeds > 1 else found


def _better(row: Row, rows: Sequence[Row]) -> Row | None:
    """The fastest that is more accurate in less than half the time."""
    if row.accuracy is None or row.encoder_ms is None:
        return None
    found = [
        (other.encoder_ms, other)
        for other in rows
        if other.accuracy is not None
        and other.encoder_ms is not None
        and other.accuracy > row.accuracy
        and other.encoder_ms < HALF * row.encoder_ms
    ]
    return min(found, key=lambda pair: pair[0])[1] if found else None


def _of_decoder(row: Row, rows: Sequence[Row]) -> str:
    found = _of_any(row)
    plain = next((other.step_ms for other in rows if other.name == PLAIN), None)
    if row.step_ms is not None and plain is not None and row.step_ms > TWICE * plain:
        found.append(f"{row.step_ms / plain:.1f} × the plain LSTM's step")
    return "; ".join(found)


def _said(passed: bool | None) -> str:
    return {True: "yes", False: "no", None: ""}[passed]


def _number(value: float | None, places: int) -> str:
    return "" if value is None else f"{value:.{places}f}"
