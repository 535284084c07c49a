"""The picture of a run's losses, validation metrics and rewards over its epochs."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from cnnrnn.core.extras import require

History = Sequence[dict[str, float]]


def draw_curve(history: History) -> bytes:
    """A PNG by epoch: losses (left axis), exact matches (right axis), and CIDEr-D where there is any.

    Args:
        history: one record an epoch, as in ``metrics.jsonl``.

    Raises:
        MissingDependencyError: matplotlib is not installed (extra ``train``).
    """
    scores = ("validation_cider", "reward", "baseline_reward")
    scored = any(name in record for record in history for name in scores)
    figure = require("matplotlib.figure", extra="train").Figure(
        figsize=(7, 7 if scored else 4), layout="constrained"
    )
    panels = figure.subplots(2 if scored else 1, sharex=True, squeeze=False)[:, 0]
    panels[-1].set_xlabel("epoch")
    _draw_losses(panels[0], history)
    if scored:
        panels[1].set_ylabel("CIDEr-D")
        _plot(panels[1], history, scores)
        panels[1].legend(loc="lower right")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def _draw_losses(losses: Any, history: History) -> None:
    losses.set_ylabel("cross-entropy, nats per token")
    _plot(losses, history, ("train_loss", "validation_loss"))
    if any("validation_exact_match" in record for record in history):
        matches = losses.twinx()
        matches.set_ylabel("share of captions exactly right")
        matches.set_ylim(0, 1)
        _plot(matches, history, ("validation_exact_match",), color="tab:green")
        matches.legend(loc="upper right")
    losses.legend(loc="lower left")


def _plot(axes: Any, history: History, names: Sequence[str], **style: str) -> None:
    """A line for each metric that there is."""
    for name in names:
        points = [(record["epoch"], record[name]) for record in history if name in record]
        if points:
            axes.plot(*zip(*points, strict=True), marker=".", label=name.replace("_", " "), **style)
