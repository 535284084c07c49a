"""The picture of a run's losses and validation metric over its epochs."""

from __future__ import annotations

import io
from collections.abc import Sequence

from cnnrnn.core.extras import require


def draw_curve(history: Sequence[dict[str, float]]) -> bytes:
    """A PNG of the losses (left axis) and the exact matches (right axis) by epoch.

    Args:
        history: one record an epoch, as in ``metrics.jsonl``.

    Raises:
        MissingDependencyError: matplotlib is not installed (extra ``train``).
    """
    figure = require("matplotlib.figure", extra="train").Figure(figsize=(7, 4), layout="constrained")
    losses = figure.subplots()
    losses.set_xlabel("epoch")
    losses.set_ylabel("cross-entropy, nats per token")
    for name in ("train_loss", "validation_loss"):
        points = [(record["epoch"], record[name]) for record in history if name in record]
        if points:
            losses.plot(*zip(*points, strict=True), marker=".", label=name.replace("_", " "))
    points = [(r["epoch"], r["validation_exact_match"]) for r in history if "validation_exact_match" in r]
    if points:
        matches = losses.twinx()
        matches.set_ylabel("share of captions exactly right")
        matches.set_ylim(0, 1)
        matches.plot(
            *zip(*points, strict=True), marker=".", color="tab:green", label="validation exact match"
        )
        matches.legend(loc="upper right")
    losses.legend(loc="lower left")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()
