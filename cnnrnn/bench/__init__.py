"""Latency measured so that it can be believed: by stage, in turns, over what the machine does at best."""

from cnnrnn.bench.camera import Camera, run_camera
from cnnrnn.bench.compare import Comparison, compare
from cnnrnn.bench.harness import Bench, Plan, Setting, measure
from cnnrnn.bench.report import SCHEMA, read_report, report, write_report
from cnnrnn.bench.summary import Summary, summarise

__all__ = [
    "SCHEMA",
    "Bench",
    "Camera",
    "Comparison",
    "Plan",
    "Setting",
    "Summary",
    "compare",
    "measure",
    "read_report",
    "report",
    "run_camera",
    "summarise",
    "write_report",
]
