"""What the speed is to be, and what it was found to be."""

from __future__ import annotations

from typing import Any

from benchmarks.gpu_check.report import Report


def goals(report: Report) -> list[dict[str, Any]]:
    return []
