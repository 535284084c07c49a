"""What a run tells of itself: ``metrics.jsonl``, a line an epoch, and ``curve.png``."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

from cnnrnn.core.storage import write_atomic
from cnnrnn.training.curve import draw_curve

log = logging.getLogger(__name__)

# Drawing takes longer than an epoch of a few pictures.
CURVE_EVERY_S = 10.0


class Record:
    """The two files in a run's folder.

    Args:
        folder: the run's.
        writes: whether this process is the one that writes them.
    """

    def __init__(self, folder: Path, *, writes: bool) -> None:
        self.folder = folder
        self.writes = writes
        self._drawn = time.monotonic()

    def epochs(self) -> list[dict[str, float]]:
        """The metrics of each epoch so far."""
        path = self.folder / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]

    def add(self, metrics: dict[str, float]) -> None:
        """Writes an epoch's metrics, in the place of what an earlier try of it and of later ones left.

        Raises:
            StorageError: the file cannot be written; the old one is whole.
        """
        if not self.writes:
            return
        kept = [record for record in self.epochs() if record["epoch"] < metrics["epoch"]]
        lines = "".join(json.dumps(record) + "\n" for record in [*kept, metrics])
        write_atomic(self.folder / "metrics.jsonl", lines.encode())
        log.info("%s", ", ".join(f"{name} {value:.4g}" for name, value in metrics.items()))

    def draw(self, *, at_once: bool) -> None:
        """Draws the curve, at once or where the last one is some seconds old.

        Raises:
            StorageError: the file cannot be written; the old one is whole.
        """
        if self.writes and (at_once or time.monotonic() - self._drawn > CURVE_EVERY_S):
            write_atomic(self.folder / "curve.png", draw_curve(self.epochs()))
            self._drawn = time.monotonic()
